// Reads the candidates of a service from the shared tables, with all that is known of their instances and nodes, and
// writes them as the records that policies see. Allocates nothing.

import {
  CANDIDATE_DRAINING,
  CANDIDATE_FLAGS,
  CANDIDATE_INSTANCE,
  CANDIDATE_LOCAL,
  CANDIDATE_SIZE,
  CANDIDATE_WEIGHT,
  HEADER_AT,
  HEADER_GENERATION,
  HEADER_METRICS_EPOCH,
  HEADER_REGIONS,
  INSTANCE_LOAD_SERVED,
  INSTANCE_LOAD_SIZE,
  INSTANCE_NAMESPACE_V4,
  INSTANCE_NAMESPACE_V6,
  INSTANCE_NODE,
  INSTANCE_NUMBER,
  INSTANCE_PLACE_SIZE,
  INSTANCE_SIZE,
  INSTANCE_VERSION,
  NODE_DISTANCE_KM,
  NODE_HEALTH,
  NODE_METRICS_SIZE,
  NODE_RTT_US,
  NODE_SIZE,
  NodeHealth,
  Region,
  SERVICE_CANDIDATE_COUNT,
  SERVICE_CANDIDATES,
  SERVICE_FAMILY,
} from "../../../assembly/shared/layout.ts";
import {
  RECORD_DRAINING,
  RECORD_FLOWS,
  RECORD_HEALTHY,
  RECORD_IPV4,
  RECORD_IPV6,
  RECORD_LOCAL,
  RECORD_OWN_FAMILY,
  RECORD_SIZE,
} from "../../../assembly/shared/policies.ts";
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
      this.view.getUint32(HEADER_AT + HEADER_REGIONS + 4 * region, true),
    );
  }

  metricsEpoch(): number {
    return Atomics.load(this.#words, (HEADER_AT + HEADER_METRICS_EPOCH) >>> 2);
  }

  /** Writes one record for each candidate of the service record at `serviceAt`. */
  copy(serviceAt: number, records: DataView, recordsAt: number): void {
    const count = this.view.getUint32(serviceAt + SERVICE_CANDIDATE_COUNT, true);
    const first = this.view.getUint32(serviceAt + SERVICE_CANDIDATES, true);
    const ownFamily = this.view.getUint32(serviceAt + SERVICE_FAMILY, true) === 4 ? RECORD_IPV4 : RECORD_IPV6;
    const candidatesAt = this.#recordAt(Region.candidates, first, CANDIDATE_SIZE);
    for (let index = 0; index < count; index += 1) {
      this.#copyOne(candidatesAt + index * CANDIDATE_SIZE, ownFamily, records, recordsAt + index * RECORD_SIZE);
    }
  }

  /** Writes the flow counts of these records anew; `recordWords` is the memory of `records`, `recordsAt` aligned. */
  copyFlows(serviceAt: number, recordWords: Int32Array, recordsAt: number): void {
    // Plain reads of aligned words: each count is one that was true a moment ago. Typed arrays halve the time of views.
    const words = this.#words;
    const count = words[(serviceAt + SERVICE_CANDIDATE_COUNT) >>> 2] as number;
    const first = words[(serviceAt + SERVICE_CANDIDATES) >>> 2] as number;
    const loadWord = (this.#recordAt(Region.instanceLoads, 0, INSTANCE_LOAD_SIZE) + INSTANCE_LOAD_SERVED) >>> 2;
    let candidateWord = (this.#recordAt(Region.candidates, first, CANDIDATE_SIZE) + CANDIDATE_INSTANCE) >>> 2;
    let recordWord = (recordsAt + RECORD_FLOWS) >>> 2;
    for (let index = 0; index < count; index += 1) {
      const flows = words[loadWord + (words[candidateWord] as number) * (INSTANCE_LOAD_SIZE >>> 2)] as number;
      recordWords[recordWord] = flows < 0 ? 0 : flows; // below 0 for a moment, when another worker's end comes first
      candidateWord += CANDIDATE_SIZE >>> 2;
      recordWord += RECORD_SIZE >>> 2;
    }
  }

  /** Whether any candidate of the service record takes new flows: it does not drain, and its node is not lost. */
  hasEligible(serviceAt: number): boolean {
    const count = this.view.getUint32(serviceAt + SERVICE_CANDIDATE_COUNT, true);
    const first = this.view.getUint32(serviceAt + SERVICE_CANDIDATES, true);
    const candidatesAt = this.#recordAt(Region.candidates, first, CANDIDATE_SIZE);
    for (let index = 0; index < count; index += 1) {
      const candidateAt = candidatesAt + index * CANDIDATE_SIZE;
      const flags = this.view.getUint16(candidateAt + CANDIDATE_FLAGS, true);
      if ((flags & CANDIDATE_DRAINING) === 0 && this.#isHealthy(this.#nodeOf(candidateAt))) return true;
    }
    return false;
  }

  #copyOne(candidateAt: number, ownFamily: number, records: DataView, at: number): void {
    const { view } = this;
    const instance = view.getUint32(candidateAt + CANDIDATE_INSTANCE, true);
    const instanceAt = this.#recordAt(Region.instances, instance, INSTANCE_SIZE);
    const placeAt = instanceAt + this.#placeOf(instanceAt) * INSTANCE_PLACE_SIZE;
    const loadAt = this.#recordAt(Region.instanceLoads, instance, INSTANCE_LOAD_SIZE) + INSTANCE_LOAD_SERVED;
    const node = this.#nodeOf(candidateAt);
    const nodeAt = this.#recordAt(Region.nodes, node, NODE_SIZE);
    const metricsAt = this.#recordAt(Region.nodeMetrics, node, NODE_METRICS_SIZE);
    const families =
      (this.#hasAddress(placeAt + INSTANCE_NAMESPACE_V4) ? RECORD_IPV4 : 0) |
      (this.#hasAddress(placeAt + INSTANCE_NAMESPACE_V6) ? RECORD_IPV6 : 0);
    const isOwnFamily = (families & ownFamily) !== 0;

    writeRecord(
      records,
      at,
      view.getUint32(instanceAt + INSTANCE_NUMBER, true),
      view.getUint16(candidateAt + CANDIDATE_WEIGHT, true),
      Math.max(0, view.getInt32(loadAt, true)),
      view.getUint32(metricsAt + NODE_RTT_US, true),
      view.getFloat32(nodeAt + NODE_DISTANCE_KM, true),
      recordFlags(view.getUint16(candidateAt + CANDIDATE_FLAGS, true)) |
        (this.#isHealthy(node) ? RECORD_HEALTHY : 0) |
        families |
        (isOwnFamily ? RECORD_OWN_FAMILY : 0),
    );
  }

  /** A worker asks inside of a call, and no place that the generation in force shows is written before it leaves that. */
  #placeOf(instanceAt: number): number {
    const generation = Atomics.load(this.#words, (HEADER_AT + HEADER_GENERATION) >>> 2);
    return placeInForce(Atomics.load(this.#words, (instanceAt + INSTANCE_VERSION) >>> 2), generation);
  }

  #nodeOf(candidateAt: number): number {
    const instance = this.view.getUint32(candidateAt + CANDIDATE_INSTANCE, true);
    const instanceAt = this.#recordAt(Region.instances, instance, INSTANCE_SIZE);
    return this.view.getUint32(instanceAt + this.#placeOf(instanceAt) * INSTANCE_PLACE_SIZE + INSTANCE_NODE, true);
  }

  #isHealthy(node: number): boolean {
    const metricsAt = this.#recordAt(Region.nodeMetrics, node, NODE_METRICS_SIZE);
    return this.view.getUint32(metricsAt + NODE_HEALTH, true) !== NodeHealth.lost;
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
  const draining = (flags & CANDIDATE_DRAINING) === 0 ? 0 : RECORD_DRAINING;
  const local = (flags & CANDIDATE_LOCAL) === 0 ? 0 : RECORD_LOCAL;
  return draining | local;
}
