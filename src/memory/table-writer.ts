// The only host writer of the tables. Each apply() is one generation: planned completely first (a refusal changes
// nothing), then written beside what is in force at a cost of what changed, then made visible by one store.
//
// What the old generation still showed (records, candidate lists, slots, nodes) is reused only after every worker has
// left it: in two steps, because a worker may also hold a record by way of a flow or be comparing a key. First it is
// marked as gone (incarnation, BUSY, node state), and when nobody is left who missed the mark, it is free.

import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import * as CandidateLayout from "../../assembly/shared/layout/candidate.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import { InstanceHealth } from "../../assembly/shared/layout/instance.ts";
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import * as ServiceLayout from "../../assembly/shared/layout/service.ts";
import { ServiceKind } from "../../assembly/shared/layout/service.ts";
import { Slices } from "../base/slices.ts";
import { ServiceCursor } from "../model/packed-service.ts";
import { ADDRESS_SIZE, type Family } from "../net/address.ts";
import { ADDRESS_WORDS, familyAt, packAddress, readWords } from "../net/packed-address.ts";
import { AddressSlots } from "./address-slots.ts";
import { Cells, notAnAddress } from "./cells.ts";
import { resetInstanceLoad } from "./measurements.ts";
import { quiescence } from "./quiescence.ts";
import type { Rows } from "./rows.ts";
import type { SharedMemory } from "./shared-memory.ts";
import type { TableChange, TableNode } from "./table-change.ts";
import type { TableCounts } from "./table-counts.ts";
import { BalancedRecord, Candidate, InstanceRecord, PlacedInstance, type Plan } from "./table-plan.ts";
import { TablePlanner } from "./table-planner.ts";
import { placeToWrite, versionWord } from "./versioned.ts";

interface TableWriterOptions {
  /** The own node: its instances are local. */
  readonly nodeId: string;
  /** Slot of a policy by its name (ServiceLayout.POLICY); throws when there is none. */
  readonly policySlot: (name: string) => number;
  readonly cells?: Cells;
}

export class TableWriter {
  readonly #shared: SharedMemory;
  readonly #cells: Cells;
  readonly #planner: TablePlanner;
  readonly #addresses: AddressSlots;
  readonly #workloads: AddressSlots;
  readonly #senders: AddressSlots;
  readonly #distances: Float32Array;
  readonly #cursor = new ServiceCursor();
  readonly #words = new Uint32Array(ADDRESS_WORDS);
  #generation = 0;
  /** Resolves when the next generation may be begun. */
  #ready: Promise<void> = Promise.resolve();

  constructor(shared: SharedMemory, options: TableWriterOptions) {
    const { records } = shared;
    this.#shared = shared;
    this.#cells = options.cells ?? new Cells(shared);
    this.#addresses = new AddressSlots(shared, this.#cells, shared.at(Region.addresses), records.addressSlots);
    this.#workloads = new AddressSlots(shared, this.#cells, shared.at(Region.workloads), records.workloadSlots);
    this.#distances = new Float32Array(shared.memory.buffer);
    this.#senders = new AddressSlots(shared, this.#cells, shared.at(Region.senders), records.senderSlots);
    const slots = { addresses: this.#addresses, workloads: this.#workloads, senders: this.#senders };
    this.#planner = new TablePlanner(shared, slots, options);
    this.#cells.f32(this.#nodeAt(NodeLayout.LOCAL) + NodeLayout.DISTANCE_KM, 0);
    this.#cells.atomic(this.#nodeAt(NodeLayout.LOCAL) + NodeLayout.STATE, AddressLayout.SLOT_USED);
  }

  /** The generation in force. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Puts the next generation in force and returns its number. Throws SapwoodError and changes nothing when a capacity
   * does not suffice. Calls take turns in the order in which they were made.
   */
  apply(change: TableChange): Promise<number> {
    const generation = this.#ready.then(() => this.#write(change));
    this.#ready = generation.then(
      (written) => this.#release(written.plan),
      () => undefined, // the caller is told; nothing was changed
    );
    return generation.then((written) => written.generation);
  }

  /** Throws as apply() does, and changes nothing. */
  check(change: TableChange): Promise<void> {
    const checked = this.#ready.then(() => this.#planner.check(change));
    this.#ready = checked.catch(() => undefined); // the caller is told
    return checked;
  }

  /** Resolves when nothing of older generations is left in the tables. */
  settled(): Promise<void> {
    return this.#ready;
  }

  /** Index of a node's record, of a known node. */
  nodeIndex(id: string): number | undefined {
    return this.#planner.nodeIndex(id);
  }

  /** Indices of the records of a service's instances, in their order. */
  instanceIndices(service: string): readonly number[] {
    return this.#planner.instanceIndices(service);
  }

  /** How much of each capacity is in use. */
  usage(): Readonly<Record<keyof TableCounts, number>> {
    return this.#planner.counts;
  }

  /** In slices of this thread. Until the generation is stored, nobody looks at what was written for it. */
  async #write(change: TableChange): Promise<{ generation: number; plan: Plan }> {
    const plan = await this.#planner.plan(change);
    const generation = this.#generation + 1;
    const slices = new Slices();
    const isDistanceNew = plan.nodes.some(
      ({ index, node }) => !Object.is(this.#distanceOf(index), Math.fround(node.distanceKm)),
    );
    for (const { index, node, isNew } of plan.nodes) this.#writeNode(index, node, isNew, generation);
    await slices.times(plan.newInstances.length, (row) => this.#writeInstance(plan, row, generation));
    await slices.times(plan.changedInstances.length, (row) => this.#changeInstance(plan, row, generation));
    await slices.each(plan.newLists, (list) => this.#writeList(plan, list));
    await slices.times(plan.balancedRecords.length, (row) => this.#writeBalancedRecord(plan, row));
    await slices.times(plan.instanceRecords.length, (row) => this.#writeInstanceRecord(plan, row));
    await slices.each(plan.deadInstances, (index) => {
      this.#cells.atomic(this.#instanceAt(index) + InstanceLayout.DIED, generation);
    });
    // All unbindings first: what one service gives up another may take in the same generation.
    await slices.times(plan.unbindAddresses.length, (row) =>
      this.#addresses.unbind(plan.unbindAddresses, row, generation),
    );
    await slices.times(plan.unbindWorkloads.length, (row) =>
      this.#workloads.unbind(plan.unbindWorkloads, row, generation),
    );
    await slices.times(plan.unbindSenders.length, (row) => this.#senders.unbind(plan.unbindSenders, row, generation));
    await slices.times(plan.bindAddresses.length, (row) => this.#addresses.bind(plan.bindAddresses, row, generation));
    await slices.times(plan.bindWorkloads.length, (row) => this.#workloads.bind(plan.bindWorkloads, row, generation));
    await slices.times(plan.bindSenders.length, (row) => this.#senders.bind(plan.bindSenders, row, generation));
    this.#cells.u32(HeaderLayout.AT + HeaderLayout.NODE_COUNT, this.#planner.nodeEnd);
    this.#cells.atomic(HeaderLayout.AT + HeaderLayout.GENERATION, generation);
    this.#generation = generation;
    if (isDistanceNew) Atomics.add(this.#shared.i32, (HeaderLayout.AT + HeaderLayout.METRICS_EPOCH) >>> 2, 1);
    this.#planner.commit(plan);
    return { generation, plan };
  }

  /** Frees what only older generations showed. */
  async #release(plan: Plan): Promise<void> {
    await quiescence(this.#shared);
    await new Slices().each(plan.deadInstances, (index) => {
      const at = this.#instanceAt(index) + InstanceLayout.INCARNATION;
      const incarnation = (this.#shared.u32[at >>> 2] ?? 0) + 1;
      this.#cells.atomic(at, incarnation);
      resetInstanceLoad(this.#shared, index, incarnation);
    });
    for (const index of plan.deadNodes)
      this.#cells.atomic(this.#nodeAt(index) + NodeLayout.STATE, AddressLayout.SLOT_EMPTY);
    await this.#addresses.retire();
    await this.#workloads.retire();
    await this.#senders.retire();
    await quiescence(this.#shared);
    await this.#addresses.reclaim();
    await this.#workloads.reclaim();
    await this.#senders.reclaim();
    await this.#planner.release(plan);
  }

  #writeNode(index: number, node: TableNode, isNew: boolean, generation: number): void {
    const at = this.#nodeAt(index);
    this.#cells.f32(at + NodeLayout.DISTANCE_KM, node.distanceKm);
    if (isNew) {
      // Both places, so that the prober may use the node before its generation is in force.
      this.#writeEndpoint(at, 0, node);
      this.#writeEndpoint(at, 1, node);
      this.#cells.atomic(at + NodeLayout.VERSION, versionWord(generation, 0));
      // Measured of the node that had the index before.
      this.#clearMetrics(index);
      this.#cells.atomic(at + NodeLayout.WANTED_PAGE, 0);
      this.#cells.atomic(at + NodeLayout.STATE, AddressLayout.SLOT_USED);
    } else {
      const place = placeToWrite(this.#shared.u32[(at + NodeLayout.VERSION) >>> 2] ?? 0, generation);
      this.#writeEndpoint(at, place, node);
      // What was measured is of the endpoint, address and port.
      if (!this.#isSameEndpoint(at, place)) this.#clearMetrics(index);
      this.#cells.atomic(at + NodeLayout.VERSION, versionWord(generation, place));
    }
  }

  #isSameEndpoint(nodeAt: number, place: number): boolean {
    const [written, inForce] = [place, 1 - place].map((one) => {
      const at = nodeAt + NodeLayout.ENDPOINTS + one * NodeLayout.ENDPOINT_SIZE;
      return this.#shared.bytes.subarray(at, at + NodeLayout.ENDPOINT_SIZE);
    });
    return Buffer.compare(written as Uint8Array, inForce as Uint8Array) === 0;
  }

  #clearMetrics(node: number): void {
    this.#cells.clear(this.#shared.at(Region.nodeMetrics) + node * NodeMetricsLayout.SIZE, NodeMetricsLayout.SIZE);
  }

  #writeEndpoint(nodeAt: number, place: number, node: TableNode): void {
    const at = nodeAt + NodeLayout.ENDPOINTS + place * NodeLayout.ENDPOINT_SIZE;
    this.#cells.clear(at, NodeLayout.ENDPOINT_SIZE);
    this.#cells.u16(at + KernelLayout.SOCKADDR_FAMILY, KernelLayout.AF_INET6);
    this.#cells.u16NetworkOrder(at + KernelLayout.SOCKADDR_PORT, node.underlay.port);
    const address = packAddress(node.underlay.address);
    if (address === undefined) throw notAnAddress(node.underlay.address);
    readWords(address, 0, this.#words);
    this.#cells.address(at + KernelLayout.SOCKADDR_ADDRESS, this.#words);
    this.#cells.u32(
      at + NodeLayout.ENDPOINT_ACCEPTS,
      (node.accept?.unknownSources ? NodeLayout.ACCEPTS_UNKNOWN_SOURCES : 0) |
        (node.accept?.anyAddress ? NodeLayout.ACCEPTS_ANY_ADDRESS : 0),
    );
  }

  #writeInstance(plan: Plan, row: number, generation: number): void {
    const at = this.#instanceAt(plan.newInstances.at(row, PlacedInstance.index));
    this.#writePlace(at, plan, plan.newInstances, row);
    this.#cells.atomic(at + InstanceLayout.VERSION, versionWord(generation, 0));
    this.#cells.u32(at + InstanceLayout.NUMBER, this.#cursor.number);
    this.#cells.atomic(at + InstanceLayout.HEALTH, InstanceHealth.unknown);
    this.#cells.atomic(at + InstanceLayout.DIED, InstanceLayout.ALIVE);
  }

  #changeInstance(plan: Plan, row: number, generation: number): void {
    const at = this.#instanceAt(plan.changedInstances.at(row, PlacedInstance.index));
    const place = placeToWrite(this.#shared.u32[(at + InstanceLayout.VERSION) >>> 2] ?? 0, generation);
    this.#writePlace(at + place * InstanceLayout.PLACE_SIZE, plan, plan.changedInstances, row);
    this.#cells.atomic(at + InstanceLayout.VERSION, versionWord(generation, place));
  }

  /** Leaves the cursor at the instance. */
  #writePlace(at: number, { texts }: Plan, rows: Rows, row: number): void {
    const cursor = this.#cursor;
    cursor.readInstance(texts[rows.at(row, PlacedInstance.text)] ?? "", rows.at(row, PlacedInstance.at));
    const { namespacesAt, namespaces, ownAt, own } = cursor;
    this.#writeAddress(at + InstanceLayout.NAMESPACE_V4, namespacesAt, namespaces, 4);
    this.#writeAddress(at + InstanceLayout.NAMESPACE_V6, namespacesAt, namespaces, 6);
    this.#writeAddress(at + InstanceLayout.ADDRESS_V4, ownAt, own, 4);
    this.#writeAddress(at + InstanceLayout.ADDRESS_V6, ownAt, own, 6);
    this.#cells.u32(at + InstanceLayout.NODE, rows.at(row, PlacedInstance.node));
  }

  /** The first one of a family, of addresses at the cursor. */
  #writeAddress(at: number, from: number, count: number, family: Family): void {
    const { bytes } = this.#cursor;
    for (let i = 0; i < count; i++) {
      if (familyAt(bytes, from + i * ADDRESS_SIZE) !== family) continue;
      readWords(bytes, from + i * ADDRESS_SIZE, this.#words);
      this.#cells.address(at, this.#words);
      return;
    }
    this.#cells.address(at, undefined);
  }

  #writeList({ candidates }: Plan, { range, from, count }: Plan["newLists"][number]): void {
    for (let i = 0; i < count; i++) {
      const at = this.#shared.at(Region.candidates) + (range.first + i) * CandidateLayout.SIZE;
      this.#cells.u32(at + CandidateLayout.INSTANCE, candidates.at(from + i, Candidate.instance));
      this.#cells.u16(at + CandidateLayout.WEIGHT, candidates.at(from + i, Candidate.weight));
      this.#cells.u16(at + CandidateLayout.FLAGS, candidates.at(from + i, Candidate.flags));
    }
  }

  #writeBalancedRecord({ balancedRecords: rows }: Plan, row: number): void {
    const at = this.#recordAt(rows.at(row, BalancedRecord.record));
    this.#cells.u32(at + ServiceLayout.KIND, ServiceKind.balanced);
    this.#cells.u32(at + ServiceLayout.POLICY, rows.at(row, BalancedRecord.policy));
    this.#cells.u32(at + ServiceLayout.ID, rows.at(row, BalancedRecord.id));
    this.#cells.u32(at + ServiceLayout.REVISION, rows.at(row, BalancedRecord.revision));
    this.#cells.u32(at + ServiceLayout.CANDIDATE_COUNT, rows.at(row, BalancedRecord.candidates));
    this.#cells.u32(at + ServiceLayout.CANDIDATES, rows.at(row, BalancedRecord.first));
    this.#cells.u32(at + ServiceLayout.FAMILY, rows.at(row, BalancedRecord.family));
  }

  /** Its only candidate is the instance. */
  #writeInstanceRecord({ instanceRecords: rows }: Plan, row: number): void {
    const at = this.#recordAt(rows.at(row, InstanceRecord.record));
    this.#cells.u32(at + ServiceLayout.KIND, ServiceKind.instance);
    this.#cells.u32(at + ServiceLayout.POLICY, 0);
    this.#cells.u32(at + ServiceLayout.ID, 0);
    this.#cells.u32(at + ServiceLayout.REVISION, 0);
    this.#cells.u32(at + ServiceLayout.CANDIDATE_COUNT, 1);
    this.#cells.u32(at + ServiceLayout.CANDIDATES, rows.at(row, InstanceRecord.instance));
    this.#cells.u32(at + ServiceLayout.FAMILY, 0);
  }

  /** As the record has it, of single precision. */
  #distanceOf(index: number): number {
    return this.#distances[(this.#nodeAt(index) + NodeLayout.DISTANCE_KM) >>> 2] ?? Number.NaN;
  }

  #nodeAt(index: number): number {
    return this.#shared.at(Region.nodes) + index * NodeLayout.SIZE;
  }

  #instanceAt(index: number): number {
    return this.#shared.at(Region.instances) + index * InstanceLayout.SIZE;
  }

  #recordAt(record: number): number {
    return this.#shared.at(Region.services) + record * ServiceLayout.SIZE;
  }
}
