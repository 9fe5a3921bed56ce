// Plans a generation: what each record, list and slot will be, and where. Keeps the account of which indices are in use
// and by whom; writes nothing to the tables. An instance, known by service and number, keeps its record as long as it
// is in the tables; weight and draining live in candidate lists only. All addresses of a service have one list.

import * as CandidateLayout from "../../assembly/shared/layout/candidate.ts";
import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import { SapwoodError } from "../base/errors.ts";
import { Slices } from "../base/slices.ts";
import { PackedService, PackedText, ServiceCursor } from "../model/packed-service.ts";
import type { Endpoint } from "../model/tables.ts";
import { ADDRESS_SIZE } from "../net/address.ts";
import { familyAt } from "../net/packed-address.ts";
import type { AddressSlots } from "./address-slots.ts";
import { CandidateLists } from "./candidate-lists.ts";
import { IndexPool } from "./index-pool.ts";
import { capacityExceeded, type SharedMemory } from "./shared-memory.ts";
import { type TableChange, tunnelOf } from "./table-change.ts";
import { countUse, type ServiceUse, type TableCounts, UseCounter } from "./table-counts.ts";
import { type CandidateList, type PlacedAddress, type PlacedService, Plan } from "./table-plan.ts";

interface PlannerOptions {
  readonly nodeId: string;
  readonly policySlot: (name: string) => number;
}

/** Which keys are in the tables, and whether there is room for more. */
interface TableSlots {
  readonly addresses: AddressSlots;
  readonly workloads: AddressSlots;
  readonly senders: AddressSlots;
}

export class TablePlanner {
  readonly #shared: SharedMemory;
  readonly #addressSlots: AddressSlots;
  readonly #workloadSlots: AddressSlots;
  readonly #options: PlannerOptions;
  readonly #senderSlots: AddressSlots;
  readonly #nodes: Map<string, number>;
  readonly #senders = new Map<string, readonly Endpoint[]>(); // by node
  readonly #tunnels = new Map<string, string>(); // likewise
  readonly #services = new Map<string, PlacedService>();
  /** What the last plan changed of them, until release() has put it there; undefined = removed. */
  #changed: Plan["services"] = new Map();
  readonly #nodePool: IndexPool;
  readonly #instancePool: IndexPool;
  readonly #recordPool: IndexPool;
  readonly #lists: CandidateLists;
  readonly #useCounter: UseCounter;
  readonly #nodeId: PackedText;
  /** In the service that is planned, and in the one that it replaces. */
  readonly #cursor = new ServiceCursor();
  readonly #former = new ServiceCursor();
  /** The node of the instance before: most have the same. */
  #nodeBefore: { readonly name: PackedText; readonly index: number } | undefined;
  /** Handles that had an address before, and the revision that follows its last one. */
  readonly #freeIds: { readonly id: number; readonly revision: number }[] = [];
  #nextId = 1;
  #counts: TableCounts = { addresses: 0, instances: 0, workloads: 0, nodes: 0 };

  constructor(shared: SharedMemory, slots: TableSlots, options: PlannerOptions) {
    this.#shared = shared;
    this.#addressSlots = slots.addresses;
    this.#workloadSlots = slots.workloads;
    this.#senderSlots = slots.senders;
    this.#options = options;
    this.#useCounter = new UseCounter(options.nodeId);
    this.#nodeId = new PackedText(options.nodeId);
    this.#nodes = new Map([[options.nodeId, NodeLayout.LOCAL]]);
    this.#nodePool = new IndexPool(shared.records.nodes);
    this.#instancePool = new IndexPool(shared.records.instances);
    this.#recordPool = new IndexPool(shared.records.services);
    this.#lists = new CandidateLists(shared, () => this.#counts.instances);
  }

  nodeIndex(id: string): number | undefined {
    return this.#nodes.get(id);
  }

  instanceIndices(service: string): readonly number[] {
    return this.#placed(service)?.instances ?? [];
  }

  get counts(): TableCounts {
    return this.#counts;
  }

  /** Every node record in use is below this index. */
  get nodeEnd(): number {
    return this.#nodePool.end;
  }

  /** Throws when a capacity does not suffice or a name is unknown; then everything is as before. */
  async plan(change: TableChange): Promise<Plan> {
    const slices = new Slices();
    const services: PackedService[] = [];
    const uses: ServiceUse[] = [];
    await slices.each(change.setServices ?? [], (service) => services.push(PackedService.of(service)));
    const plan = new Plan(await this.#countsAfter(change, services, slices, uses));
    this.#checkCapacities(plan.counts);
    plan.reserve(uses);
    this.#nodeBefore = undefined;
    try {
      this.#planNodes(plan, change);
      await slices.each(change.removeServices ?? [], (name) => this.#planRemoval(plan, name));
      await slices.each(services, (service, i) => this.#planService(plan, service, uses[i] as ServiceUse));
      this.#checkSlots(plan);
      return plan;
    } catch (error) {
      this.#abandon(plan);
      throw error;
    }
  }

  /** Throws as plan() does, and plans nothing. */
  async check(change: TableChange): Promise<void> {
    this.#abandon(await this.plan(change));
  }

  /** The plan was written: what it says is in force. */
  commit(plan: Plan): void {
    this.#changed = plan.services;
    for (const [id, index] of plan.nodeIndices) {
      if (index === undefined) this.#nodes.delete(id);
      else this.#nodes.set(id, index);
    }
    for (const [id, senders] of plan.senders) {
      if (senders === undefined) this.#senders.delete(id);
      else this.#senders.set(id, senders);
    }
    for (const [id, tunnel] of plan.tunnels) {
      if (tunnel === undefined) this.#tunnels.delete(id);
      else this.#tunnels.set(id, tunnel);
    }
    this.#counts = plan.counts;
  }

  /** No worker can see the dead of this plan any more. To be called before the next plan is made. */
  async release(plan: Plan): Promise<void> {
    await new Slices().each(plan.services, ([name, placed]) => {
      if (placed === undefined) this.#services.delete(name);
      else this.#services.set(name, placed);
    });
    this.#changed = new Map();
    for (const index of plan.deadNodes) this.#nodePool.give(index);
    for (const index of plan.deadInstances) this.#instancePool.give(index);
    for (const record of plan.deadRecords) this.#recordPool.give(record);
    for (const range of plan.deadLists) this.#lists.give(range);
    for (const id of plan.deadIds) this.#freeIds.push(id);
  }

  #placed(service: string): PlacedService | undefined {
    return this.#changed.has(service) ? this.#changed.get(service) : this.#services.get(service);
  }

  #abandon(plan: Plan): void {
    for (const { index, isNew } of plan.nodes) if (isNew) this.#nodePool.give(index);
    this.#instancePool.giveAll(plan.newInstances);
    this.#recordPool.giveAll(plan.balancedRecords);
    this.#recordPool.giveAll(plan.instanceRecords);
    for (const { range } of plan.newLists) this.#lists.give(range);
    for (const id of plan.newIds) this.#freeIds.push(id);
  }

  #planNodes(plan: Plan, change: TableChange): void {
    const former = this.#formerIds(change);
    const renamed = new Set(former.values());
    for (const id of change.removeNodes ?? []) {
      const index = this.#nodes.get(id);
      if (index === undefined || index === NodeLayout.LOCAL) continue;
      if (!renamed.has(id)) plan.deadNodes.push(index);
      plan.nodeIndices.set(id, undefined);
      plan.unbindSenders.addEndpoints(this.#senders.get(id) ?? []);
      plan.senders.set(id, undefined);
      plan.tunnels.set(id, undefined);
    }
    for (const node of change.setNodes ?? []) {
      const known = plan.nodeIndices.has(node.id) ? undefined : this.#nodes.get(former.get(node.id) ?? node.id);
      const index = known ?? this.#nodePool.take();
      if (index === undefined) throw capacityExceeded("nodes", this.#shared.capacities, change.setNodes?.length ?? 0);
      plan.nodes.push({ index, node, isNew: known === undefined });
      plan.nodeIndices.set(node.id, index);
      const { senders = [node.underlay] } = node;
      plan.unbindSenders.addEndpoints(this.#senders.get(node.id) ?? []);
      plan.bindSenders.addEndpoints(senders, index);
      plan.senders.set(node.id, senders);
      plan.tunnels.set(node.id, tunnelOf(node));
    }
  }

  /**
   * A node that comes where another one goes is the same one under another id: it keeps the record, and flows go on.
   */
  #formerIds({ setNodes = [], removeNodes = [] }: TableChange): ReadonlyMap<string, string> {
    if (removeNodes.length === 0) return new Map();
    const removed = new Map(removeNodes.map((id) => [this.#tunnels.get(id), id]));
    return new Map(
      setNodes.flatMap((node) => {
        const id = this.#nodes.has(node.id) ? undefined : removed.get(tunnelOf(node));
        return id === undefined ? [] : [[node.id, id] as const];
      }),
    );
  }

  #planRemoval(plan: Plan, name: string): void {
    const old = this.#services.get(name);
    if (old === undefined) return;
    const former = this.#former;
    former.start(old.service);
    for (let i = 0; former.nextAddress(); i++) {
      plan.unbindAddresses.add(former.bytes, former.addressAt);
      plan.dropAddress(old.addresses[i]);
    }
    for (let i = 0; former.nextInstance(); i++) this.#bury(plan, old, i);
    if (old.list.range !== undefined) plan.deadLists.push(old.list.range);
    plan.services.set(name, undefined);
  }

  #planService(plan: Plan, service: PackedService, use: ServiceUse): void {
    const old = this.#services.get(service.name);
    const from = plan.candidates.length;
    const { instances, instanceRecords, isChanged } = this.#planInstances(plan, service, old);
    const list = this.#lists.plan(plan, { from, isChanged, former: old?.list });
    const addresses = this.#planAddresses(plan, service, list, old);
    plan.services.set(service.name, { service, instances, instanceRecords, addresses, list, use });
  }

  /** Also leaves the candidates of the service at the end of those of the plan. */
  #planInstances(plan: Plan, service: PackedService, old: PlacedService | undefined) {
    const cursor = this.#cursor;
    const before = old === undefined ? undefined : this.#formerInstances(old.service);
    cursor.start(service);
    const instances = new Array<number>(cursor.instances);
    const instanceRecords = new Array<number>(cursor.instances);
    let isChanged = false;
    for (let i = 0; cursor.nextInstance(); i++) {
      const former = before?.get(cursor.number);
      let [index, record] = [0, 0];
      if (old === undefined || former === undefined) {
        index = this.#planInstance(plan, service);
        record = this.#planInstanceRecord(plan, index, 0);
      } else {
        before?.delete(cursor.number);
        index = old.instances[former.place] ?? 0;
        record = old.instanceRecords[former.place] ?? 0;
        if (!cursor.isSamePlace(old.service.bytes, former.at)) {
          isChanged = true;
          record = this.#planChange(plan, service, { bytes: old.service.bytes, at: former.at, index, record });
        }
      }
      instances[i] = index;
      instanceRecords[i] = record;
      // It can be reached from both families as long as it has a namespace address at all.
      if (cursor.namespaces === 0 || cursor.addresses === 0) continue;
      const flags =
        (cursor.isDraining ? CandidateLayout.DRAINING : 0) | (this.#isLocal(cursor) ? CandidateLayout.LOCAL : 0);
      plan.candidates.push(index, cursor.weight, flags);
    }
    for (const { place, at } of before?.values() ?? []) {
      this.#former.readInstance(old?.service.bytes ?? "", at);
      this.#bury(plan, old as PlacedService, place);
    }
    return { instances, instanceRecords, isChanged };
  }

  /** By their numbers: which one of the service it is, and where in its bytes. */
  #formerInstances(service: PackedService): Map<number, { readonly place: number; readonly at: number }> {
    const former = this.#former;
    const found = new Map<number, { readonly place: number; readonly at: number }>();
    former.start(service);
    for (let place = 0; former.nextInstance(); place++) found.set(former.number, { place, at: former.instanceAt });
    return found;
  }

  /** The instance at the cursor, which is new; returns the index of its record. */
  #planInstance(plan: Plan, service: PackedService): number {
    const cursor = this.#cursor;
    const node = this.#nodeOf(plan, service);
    const index = this.#instancePool.take();
    if (index === undefined) throw capacityExceeded("instances", this.#shared.capacities, this.#counts.instances + 1);
    plan.newInstances.push(index, node, plan.textOf(service), cursor.instanceAt);
    if (node === NodeLayout.LOCAL)
      plan.bindWorkloads.addAll(cursor.bytes, cursor.namespacesAt, cursor.namespaces, index);
    return index;
  }

  /** The instance at the cursor, which was there and changed. Returns the service record of its addresses, 0 = it has none. */
  #planChange(
    plan: Plan,
    service: PackedService,
    before: { readonly bytes: string; readonly at: number; readonly index: number; readonly record: number },
  ): number {
    const [cursor, former] = [this.#cursor, this.#former];
    const { index, record } = before;
    former.readInstance(before.bytes, before.at);
    plan.changedInstances.push(index, this.#nodeOf(plan, service), plan.textOf(service), cursor.instanceAt);
    this.#unbindInstance(plan);
    if (this.#isLocal(cursor)) plan.bindWorkloads.addAll(cursor.bytes, cursor.namespacesAt, cursor.namespaces, index);
    if (cursor.own === 0 && record !== 0) plan.deadRecords.push(record);
    return this.#planInstanceRecord(plan, index, record);
  }

  /** Binds the addresses of the instance at the cursor to a service record, which is taken unless it has one. */
  #planInstanceRecord(plan: Plan, index: number, known: number): number {
    const cursor = this.#cursor;
    if (cursor.own === 0) return 0;
    const record = known === 0 ? this.#takeRecord() : known;
    if (known === 0) plan.instanceRecords.push(record, index);
    plan.bindAddresses.addAll(cursor.bytes, cursor.ownAt, cursor.own, record);
    return record;
  }

  /** Index of the node of the instance at the cursor. */
  #nodeOf(plan: Plan, service: PackedService): number {
    const cursor = this.#cursor;
    const before = this.#nodeBefore;
    if (before?.name.isAt(cursor.bytes, cursor.nodeAt, cursor.nodeEnd)) return before.index;
    const id = cursor.node;
    const index = plan.nodeIndices.has(id) ? plan.nodeIndices.get(id) : this.#nodes.get(id);
    if (index === undefined) {
      throw new SapwoodError(
        "tables-invalid",
        `instance ${cursor.number} of ${service.name}: expected a known node, found "${id}"`,
      );
    }
    this.#nodeBefore = { name: new PackedText(id), index };
    return index;
  }

  #isLocal({ bytes, nodeAt, nodeEnd }: ServiceCursor): boolean {
    return this.#nodeId.isAt(bytes, nodeAt, nodeEnd);
  }

  /** An instance of an old service, at the cursor of the former one, that goes. */
  #bury(plan: Plan, old: PlacedService, place: number): void {
    const record = old.instanceRecords[place] ?? 0;
    plan.deadInstances.push(old.instances[place] ?? 0);
    if (record !== 0) plan.deadRecords.push(record);
    this.#unbindInstance(plan);
  }

  /** What the instance at the cursor of the former service has. */
  #unbindInstance(plan: Plan): void {
    const { bytes, own, ownAt, namespaces, namespacesAt } = this.#former;
    plan.unbindAddresses.addAll(bytes, ownAt, own);
    if (this.#isLocal(this.#former)) plan.unbindWorkloads.addAll(bytes, namespacesAt, namespaces);
  }

  #planAddresses(
    plan: Plan,
    service: PackedService,
    list: CandidateList,
    old: PlacedService | undefined,
  ): PlacedAddress[] {
    const cursor = this.#cursor;
    const before = old === undefined ? undefined : this.#formerAddresses(old);
    cursor.start(service);
    const placed = new Array<PlacedAddress>(cursor.addresses);
    for (let i = 0; cursor.nextAddress(); i++) {
      const policy = this.#options.policySlot(cursor.policy);
      const address = cursor.bytes.slice(cursor.addressAt, cursor.addressAt + ADDRESS_SIZE);
      const previous = before?.get(address);
      before?.delete(address);
      if (previous !== undefined && previous.policy === policy && previous.list === list) {
        placed[i] = previous;
        continue;
      }
      const { id, revision } =
        previous === undefined ? this.#takeId(plan) : { id: previous.id, revision: previous.revision + 1 };
      if (previous !== undefined) plan.deadRecords.push(previous.record);
      const record = this.#takeRecord();
      const family = familyAt(cursor.bytes, cursor.addressAt);
      plan.balancedRecords.push(record, policy, id, revision, list.count, list.range?.first ?? 0, family);
      plan.bindAddresses.add(cursor.bytes, cursor.addressAt, record);
      placed[i] = { record, id, revision, policy, list };
    }
    for (const [address, previous] of before ?? []) {
      plan.unbindAddresses.add(address, 0);
      plan.dropAddress(previous);
    }
    return placed;
  }

  #formerAddresses(old: PlacedService): Map<string, PlacedAddress> {
    const former = this.#former;
    const found = new Map<string, PlacedAddress>();
    former.start(old.service);
    for (let i = 0; former.nextAddress(); i++) {
      const placed = old.addresses[i];
      if (placed !== undefined)
        found.set(former.bytes.slice(former.addressAt, former.addressAt + ADDRESS_SIZE), placed);
    }
    return found;
  }

  #takeRecord(): number {
    const record = this.#recordPool.take();
    if (record === undefined) throw capacityExceeded("addresses", this.#shared.capacities, this.#counts.addresses + 1);
    return record;
  }

  #takeId(plan: Plan): { id: number; revision: number } {
    const taken = this.#freeIds.pop() ?? { id: this.#nextId++, revision: 1 };
    plan.newIds.push(taken);
    return taken;
  }

  /** Also puts what each service that is set uses into `uses`. */
  async #countsAfter(
    change: TableChange,
    services: readonly PackedService[],
    slices: Slices,
    uses: ServiceUse[],
  ): Promise<TableCounts> {
    const counts = { ...this.#counts };
    await slices.each(change.removeServices ?? [], (name) => countUse(counts, this.#services.get(name)?.use, -1));
    await slices.each(services, (service) => {
      const use = this.#useCounter.of(service);
      countUse(counts, this.#services.get(service.name)?.use, -1);
      countUse(counts, use, 1);
      uses.push(use);
    });
    counts.nodes -= change.removeNodes?.filter((id) => this.#nodes.has(id)).length ?? 0;
    counts.nodes += change.setNodes?.filter(({ id }) => !this.#nodes.has(id)).length ?? 0;
    return counts;
  }

  #checkCapacities(counts: TableCounts): void {
    for (const name of ["addresses", "instances", "workloads", "nodes"] as const) {
      if (counts[name] > this.#shared.capacities[name]) {
        throw capacityExceeded(name, this.#shared.capacities, counts[name]);
      }
    }
  }

  /** Old and new keys share the slots until the old ones are reclaimed. */
  #checkSlots(plan: Plan): void {
    if (!this.#addressSlots.hasRoomFor(plan.bindAddresses)) {
      throw capacityExceeded("addresses", this.#shared.capacities, this.#counts.addresses + plan.bindAddresses.length);
    }
    if (!this.#senderSlots.hasRoomFor(plan.bindSenders)) {
      throw capacityExceeded("nodes", this.#shared.capacities, this.#counts.nodes + plan.bindSenders.length);
    }
    if (!this.#workloadSlots.hasRoomFor(plan.bindWorkloads)) {
      throw capacityExceeded("workloads", this.#shared.capacities, this.#counts.workloads + plan.bindWorkloads.length);
    }
  }
}
