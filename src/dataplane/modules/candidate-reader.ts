// Reads the candidates of a service from the shared tables, with all that is known of their instances and nodes, and
// writes them as the records that policies see. Allocates nothing.

import * as CandidateLayout from "../../../assembly/shared/layout/candidate.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../../assembly/shared/layout/instance.ts";
import { InstanceHealth } from "../../../assembly/shared/layout/instance.ts";
import * as NodeLayout from "../../../assembly/shared/layout/node.ts";
import * as NodeMetricsLayout from "../../../assembly/shared/layout/node-metrics.ts";
import { NodeHealth } from "../../../assembly/shared/layout/node-metrics.ts";
import * as ServiceLayout from "../../../assembly/shared/layout/service.ts";
import * as Policy from "../../../assembly/shared/policies.ts";
import { placeInForce } from "../../memory/versioned.ts";
import { writeRecord } from "./candidate-record.ts";

/** Reads candidates from the shared tables, and all that is known of their instances and nodes. */
export class CandidateReader {
  readonly view: DataView;
  readonly #words: Int32Array;
  readonly #regionsAt: readonly number[];

  constructor(memory: WebAssembly.Memory) {
    this.view = new DataView(memory.buffer);
    this.#words = new Int32Array(memory.buffer);
    this.#regionsAt = Array.from({ length: Region.count }, (_, region) =>
      this.view.getUint32(HeaderLayout.AT + HeaderLayout.REGIONS + 4 * region, true),
    );
  }

  metricsEpoch(): number {
    return Atomics.load(this.#words, (HeaderLayout.AT + HeaderLayout.METRICS_EPOCH) >>> 2);
  }

  /** Writes one record for each candidate of the service record at `serviceAt`. */
  copy(serviceAt: number, records: DataView, recordsAt: number): void {
    const count = this.view.getUint32(serviceAt + ServiceLayout.CANDIDATE_COUNT, true);
    const first = this.view.getUint32(serviceAt + ServiceLayout.CANDIDATES, true);
    const ownFamily =
      this.view.getUint32(serviceAt + ServiceLayout.FAMILY, true) === 4 ? Policy.RECORD_IPV4 : Policy.RECORD_IPV6;
    const candidatesAt = this.#recordAt(Region.candidates, first, CandidateLayout.SIZE);
    const isLenient = !this.#hasFit(candidatesAt, count);
    for (let index = 0; index < count; index += 1) {
      const candidateAt = candidatesAt + index * CandidateLayout.SIZE;
      this.#copyOne(candidateAt, ownFamily, isLenient, records, recordsAt + index * Policy.RECORD_SIZE);
    }
  }

  /** Writes the flow counts of these records anew; `recordWords` is the memory of `records`, `recordsAt` aligned. */
  copyFlows(serviceAt: number, recordWords: Int32Array, recordsAt: number): void {
    // Plain reads of aligned words: each count is one that was true a moment ago. Typed arrays halve the time of views.
    const words = this.#words;
    const count = words[(serviceAt + ServiceLayout.CANDIDATE_COUNT) >>> 2] as number;
    const first = words[(serviceAt + ServiceLayout.CANDIDATES) >>> 2] as number;
    const loadWord =
      (this.#recordAt(Region.instanceLoads, 0, InstanceLayout.LOAD_SIZE) + InstanceLayout.LOAD_SERVED) >>> 2;
    let candidateWord =
      (this.#recordAt(Region.candidates, first, CandidateLayout.SIZE) + CandidateLayout.INSTANCE) >>> 2;
    let recordWord = (recordsAt + Policy.RECORD_FLOWS) >>> 2;
    for (let index = 0; index < count; index += 1) {
      const flows = words[loadWord + (words[candidateWord] as number) * (InstanceLayout.LOAD_SIZE >>> 2)] as number;
      recordWords[recordWord] = flows < 0 ? 0 : flows; // below 0 for a moment, when another worker's end comes first
      candidateWord += CandidateLayout.SIZE >>> 2;
      recordWord += Policy.RECORD_SIZE >>> 2;
    }
  }

  /** Whether any candidate of the service record takes new flows: it does not drain, and its node is not lost. */
  hasEligible(serviceAt: number): boolean {
    const count = this.view.getUint32(serviceAt + ServiceLayout.CANDIDATE_COUNT, true);
    const first = this.view.getUint32(serviceAt + ServiceLayout.CANDIDATES, true);
    const candidatesAt = this.#recordAt(Region.candidates, first, CandidateLayout.SIZE);
    for (let index = 0; index < count; index += 1) {
      const candidateAt = candidatesAt + index * CandidateLayout.SIZE;
      const flags = this.view.getUint16(candidateAt + CandidateLayout.FLAGS, true);
      if ((flags & CandidateLayout.DRAINING) === 0 && this.#isReachable(this.#nodeOf(candidateAt))) return true;
    }
    return false;
  }

  /** Whether there is a candidate that takes new flows and that nothing speaks against. */
  #hasFit(candidatesAt: number, count: number): boolean {
    for (let index = 0; index < count; index += 1) {
      const candidateAt = candidatesAt + index * CandidateLayout.SIZE;
      const flags = this.view.getUint16(candidateAt + CandidateLayout.FLAGS, true);
      if ((flags & CandidateLayout.DRAINING) !== 0 || !this.#isReachable(this.#nodeOf(candidateAt))) continue;
      if (!this.#isUnhealthy(this.view.getUint32(candidateAt + CandidateLayout.INSTANCE, true))) return true;
    }
    return false;
  }

  /** `isLenient`: what is known of instances does not count, because it is said of all. */
  #copyOne(candidateAt: number, ownFamily: number, isLenient: boolean, records: DataView, at: number): void {
    const { view } = this;
    const instance = view.getUint32(candidateAt + CandidateLayout.INSTANCE, true);
    const instanceAt = this.#recordAt(Region.instances, instance, InstanceLayout.SIZE);
    const placeAt = instanceAt + this.#placeOf(instanceAt) * InstanceLayout.PLACE_SIZE;
    const loadAt =
      this.#recordAt(Region.instanceLoads, instance, InstanceLayout.LOAD_SIZE) + InstanceLayout.LOAD_SERVED;
    const node = this.#nodeOf(candidateAt);
    const nodeAt = this.#recordAt(Region.nodes, node, NodeLayout.SIZE);
    const metricsAt = this.#recordAt(Region.nodeMetrics, node, NodeMetricsLayout.SIZE);
    const families =
      (this.#hasAddress(placeAt + InstanceLayout.NAMESPACE_V4) ? Policy.RECORD_IPV4 : 0) |
      (this.#hasAddress(placeAt + InstanceLayout.NAMESPACE_V6) ? Policy.RECORD_IPV6 : 0);
    const isOwnFamily = (families & ownFamily) !== 0;

    writeRecord(
      records,
      at,
      view.getUint32(instanceAt + InstanceLayout.NUMBER, true),
      view.getUint16(candidateAt + CandidateLayout.WEIGHT, true),
      Math.max(0, view.getInt32(loadAt, true)),
      view.getUint32(metricsAt + NodeMetricsLayout.RTT_US, true),
      view.getFloat32(nodeAt + NodeLayout.DISTANCE_KM, true),
      recordFlags(view.getUint16(candidateAt + CandidateLayout.FLAGS, true)) |
        (this.#isReachable(node) && (isLenient || !this.#isUnhealthy(instance)) ? Policy.RECORD_HEALTHY : 0) |
        families |
        (isOwnFamily ? Policy.RECORD_OWN_FAMILY : 0),
    );
  }

  /**
   * A worker asks inside of a call, and no place that the generation in force shows is written before it leaves that.
   */
  #placeOf(instanceAt: number): number {
    const generation = Atomics.load(this.#words, (HeaderLayout.AT + HeaderLayout.GENERATION) >>> 2);
    return placeInForce(Atomics.load(this.#words, (instanceAt + InstanceLayout.VERSION) >>> 2), generation);
  }

  #nodeOf(candidateAt: number): number {
    const instance = this.view.getUint32(candidateAt + CandidateLayout.INSTANCE, true);
    const instanceAt = this.#recordAt(Region.instances, instance, InstanceLayout.SIZE);
    return this.view.getUint32(
      instanceAt + this.#placeOf(instanceAt) * InstanceLayout.PLACE_SIZE + InstanceLayout.NODE,
      true,
    );
  }

  #isUnhealthy(instance: number): boolean {
    const instanceAt = this.#recordAt(Region.instances, instance, InstanceLayout.SIZE);
    const health = Atomics.load(this.#words, (instanceAt + InstanceLayout.HEALTH) >>> 2);
    return health === InstanceHealth.unhealthy || health === InstanceHealth.suspect;
  }

  #isReachable(node: number): boolean {
    const metricsAt = this.#recordAt(Region.nodeMetrics, node, NodeMetricsLayout.SIZE);
    return this.view.getUint32(metricsAt + NodeMetricsLayout.HEALTH, true) !== NodeHealth.lost;
  }

  /** A family that an instance lacks has zeros. */
  #hasAddress(at: number): boolean {
    const words = this.#words;
    const word = at >>> 2;
    return (
      ((words[word] as number) |
        (words[word + 1] as number) |
        (words[word + 2] as number) |
        (words[word + 3] as number)) !==
      0
    );
  }

  #recordAt(region: Region, index: number, size: number): number {
    return (this.#regionsAt[region] ?? 0) + index * size;
  }
}

function recordFlags(flags: number): number {
  const draining = (flags & CandidateLayout.DRAINING) === 0 ? 0 : Policy.RECORD_DRAINING;
  const local = (flags & CandidateLayout.LOCAL) === 0 ? 0 : Policy.RECORD_LOCAL;
  return draining | local;
}
