// Plans a generation: what each record, list and slot will be, and where. Keeps the account of which indices are in use
// and by whom; writes nothing to the tables. An instance, known by service and number, keeps its record as long as it
// is in the tables; weight and draining live in candidate lists only. All addresses of a service have one list.

import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import { ServiceKind } from "../../assembly/shared/layout/service.ts";
import { SapwoodError } from "../base/errors.ts";
import { Slices } from "../base/slices.ts";
import type { Endpoint, Instance, Service } from "../model/tables.ts";
import { familyOf } from "../net/address.ts";
import type { AddressSlots } from "./address-slots.ts";
import { CandidateLists } from "./candidate-lists.ts";
import { IndexPool } from "./index-pool.ts";
import { capacityExceeded, type SharedMemory } from "./shared-memory.ts";
import type { TableChange, TableNode } from "./table-change.ts";
import { countUse, type ServiceUse, type TableCounts, UseCounter } from "./table-counts.ts";
import { type CandidateList, type PlacedAddress, type PlacedService, Plan, type ServiceRecord } from "./table-plan.ts";

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
  readonly #nodePool: IndexPool;
  readonly #instancePool: IndexPool;
  readonly #recordPool: IndexPool;
  readonly #lists: CandidateLists;
  readonly #useCounter: UseCounter;
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
    this.#nodes = new Map([[options.nodeId, NodeLayout.LOCAL]]);
    this.#nodePool = new IndexPool(shared.records.nodes);
    this.#instancePool = new IndexPool(shared.records.instances);
    this.#recordPool = new IndexPool(shared.records.services);
    this.#lists = new CandidateLists(shared, options.nodeId, () => this.#counts.instances);
  }

  nodeIndex(id: string): number | undefined {
    return this.#nodes.get(id);
  }

  instanceIndices(service: string): readonly number[] {
    return this.#services.get(service)?.instances ?? [];
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
    const uses: ServiceUse[] = [];
    const plan = new Plan(await this.#countsAfter(change, slices, uses));
    this.#checkCapacities(plan.counts);
    try {
      this.#planNodes(plan, change);
      await slices.each(change.removeServices ?? [], (name) => this.#planRemoval(plan, name));
      await slices.each(change.setServices ?? [], (service, i) =>
        this.#planService(plan, service, uses[i] as ServiceUse),
      );
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
    for (const [name, placed] of plan.services) {
      if (placed === undefined) this.#services.delete(name);
      else this.#services.set(name, placed);
    }
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

  /** No worker can see the dead of this plan any more. */
  release(plan: Plan): void {
    for (const index of plan.deadNodes) this.#nodePool.give(index);
    for (const index of plan.deadInstances) this.#instancePool.give(index);
    for (const record of plan.deadRecords) this.#recordPool.give(record);
    for (const range of plan.deadLists) this.#lists.give(range);
    for (const id of plan.deadIds) this.#freeIds.push(id);
  }

  #abandon(plan: Plan): void {
    for (const { index, isNew } of plan.nodes) if (isNew) this.#nodePool.give(index);
    for (const { index } of plan.newInstances) this.#instancePool.give(index);
    for (const { record } of plan.newRecords) this.#recordPool.give(record);
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
      plan.unbindSenders.push(...(this.#senders.get(id) ?? []));
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
      plan.unbindSenders.push(...(this.#senders.get(node.id) ?? []));
      plan.bindSenders.push(...senders.map((sender) => ({ ...sender, value: index })));
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
    old.service.instances.forEach((_, i) => {
      this.#bury(plan, old, i);
    });
    old.service.addresses.forEach(({ address }, i) => {
      this.#unbind(plan, address, old.addresses[i]);
    });
    if (old.list.range !== undefined) plan.deadLists.push(old.list.range);
    plan.services.set(name, undefined);
  }

  #planService(plan: Plan, service: Service, use: ServiceUse): void {
    const old = this.#services.get(service.name);
    const { instances, instanceRecords, isChanged } = this.#planInstances(plan, service, old);
    const list = this.#lists.plan(plan, { service, instances, isChanged, former: old?.list });
    const addresses = this.#planAddresses(plan, service, list, old);
    plan.services.set(service.name, { service, instances, instanceRecords, addresses, list, use });
  }

  #planInstances(plan: Plan, service: Service, old: PlacedService | undefined) {
    const former = old?.service.instances ?? [];
    const before = new Map(former.map((instance, i) => [instance.number, i]));
    const instances: number[] = [];
    const instanceRecords: number[] = [];
    let isChanged = false;
    for (const instance of service.instances) {
      const i = before.get(instance.number);
      const previous = i === undefined ? undefined : former[i];
      let placed: { index: number; record: number };
      if (old === undefined || i === undefined || previous === undefined) {
        placed = this.#planInstance(plan, service, instance);
      } else {
        before.delete(instance.number);
        placed = { index: old.instances[i] ?? 0, record: old.instanceRecords[i] ?? 0 };
        if (!isSameInstance(previous, instance)) {
          isChanged = true;
          placed.record = this.#planChange(plan, service, previous, instance, placed);
        }
      }
      instances.push(placed.index);
      instanceRecords.push(placed.record);
    }
    if (old !== undefined) for (const i of before.values()) this.#bury(plan, old, i);
    return { instances, instanceRecords, isChanged };
  }

  #planInstance(plan: Plan, service: Service, instance: Instance): { index: number; record: number } {
    const node = this.#nodeOf(plan, service, instance);
    const index = this.#instancePool.take();
    if (index === undefined) throw capacityExceeded("instances", this.#shared.capacities, this.#counts.instances + 1);
    plan.newInstances.push({ index, node, instance });
    if (node === NodeLayout.LOCAL) {
      for (const address of instance.namespaceAddresses) plan.bindWorkloads.push({ address, value: index });
    }
    if (instance.instanceAddresses.length === 0) return { index, record: 0 };
    const record = this.#takeInstanceRecord(plan, index);
    for (const address of instance.instanceAddresses) plan.bindAddresses.push({ address, value: record });
    return { index, record };
  }

  /** An instance that was there and changed. Returns the service record of its addresses, 0 = it has none. */
  #planChange(
    plan: Plan,
    service: Service,
    previous: Instance,
    instance: Instance,
    placed: { readonly index: number; readonly record: number },
  ): number {
    const { index } = placed;
    plan.changedInstances.push({ index, node: this.#nodeOf(plan, service, instance), instance });
    const isLocal = (one: Instance): boolean => one.node === this.#options.nodeId;
    if (isLocal(previous)) plan.unbindWorkloads.push(...previous.namespaceAddresses);
    if (isLocal(instance)) {
      for (const address of instance.namespaceAddresses) plan.bindWorkloads.push({ address, value: index });
    }
    plan.unbindAddresses.push(...previous.instanceAddresses);
    if (instance.instanceAddresses.length === 0) {
      if (placed.record !== 0) plan.deadRecords.push(placed.record);
      return 0;
    }
    const record = placed.record === 0 ? this.#takeInstanceRecord(plan, index) : placed.record;
    for (const address of instance.instanceAddresses) plan.bindAddresses.push({ address, value: record });
    return record;
  }

  #nodeOf(plan: Plan, service: Service, instance: Instance): number {
    const node = plan.nodeIndices.has(instance.node)
      ? plan.nodeIndices.get(instance.node)
      : this.#nodes.get(instance.node);
    if (node !== undefined) return node;
    throw new SapwoodError(
      "tables-invalid",
      `instance ${instance.number} of ${service.name}: expected a known node, found "${instance.node}"`,
    );
  }

  #takeInstanceRecord(plan: Plan, index: number): number {
    return this.#takeRecord(plan, {
      kind: ServiceKind.instance,
      policy: 0,
      id: 0,
      revision: 0,
      candidateCount: 1,
      first: index,
      family: 0,
    });
  }

  #bury(plan: Plan, old: PlacedService, i: number): void {
    const instance = old.service.instances[i];
    const record = old.instanceRecords[i] ?? 0;
    if (instance === undefined) return;
    plan.deadInstances.push(old.instances[i] ?? 0);
    if (record !== 0) plan.deadRecords.push(record);
    plan.unbindAddresses.push(...instance.instanceAddresses);
    if (instance.node === this.#options.nodeId) plan.unbindWorkloads.push(...instance.namespaceAddresses);
  }

  #planAddresses(plan: Plan, service: Service, list: CandidateList, old: PlacedService | undefined): PlacedAddress[] {
    const before = new Map(old?.service.addresses.map(({ address }, i) => [address, old.addresses[i]]));
    const addresses = service.addresses.map(({ address, policy: policyName }) => {
      const policy = this.#options.policySlot(policyName);
      const previous = before.get(address);
      before.delete(address);
      if (previous !== undefined && previous.policy === policy && previous.list === list) return previous;
      const { id, revision } =
        previous === undefined ? this.#takeId(plan) : { id: previous.id, revision: previous.revision + 1 };
      if (previous !== undefined) plan.deadRecords.push(previous.record);
      const record = this.#takeRecord(plan, {
        kind: ServiceKind.balanced,
        policy,
        id,
        revision,
        candidateCount: list.count,
        first: list.range?.first ?? 0,
        family: familyOf(address),
      });
      plan.bindAddresses.push({ address, value: record });
      return { record, id, revision, policy, list };
    });
    for (const [address, placed] of before) this.#unbind(plan, address, placed);
    return addresses;
  }

  #unbind(plan: Plan, address: string, placed: PlacedAddress | undefined): void {
    if (placed === undefined) return;
    plan.unbindAddresses.push(address);
    plan.deadRecords.push(placed.record);
    plan.deadIds.push({ id: placed.id, revision: placed.revision + 1 });
  }

  #takeRecord(plan: Plan, content: Omit<ServiceRecord, "record">): number {
    const record = this.#recordPool.take();
    if (record === undefined) throw capacityExceeded("addresses", this.#shared.capacities, this.#counts.addresses + 1);
    plan.newRecords.push({ record, ...content });
    return record;
  }

  #takeId(plan: Plan): { id: number; revision: number } {
    const taken = this.#freeIds.pop() ?? { id: this.#nextId++, revision: 1 };
    plan.newIds.push(taken);
    return taken;
  }

  /** Also puts what each service that is set uses into `uses`. */
  async #countsAfter(change: TableChange, slices: Slices, uses: ServiceUse[]): Promise<TableCounts> {
    const counts = { ...this.#counts };
    await slices.each(change.removeServices ?? [], (name) => countUse(counts, this.#services.get(name)?.use, -1));
    await slices.each(change.setServices ?? [], (service) => {
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

function isSameInstance(a: Instance, b: Instance): boolean {
  return (
    a.node === b.node &&
    isSameSequence(a.namespaceAddresses, b.namespaceAddresses) &&
    isSameSequence(a.instanceAddresses, b.instanceAddresses)
  );
}

function isSameSequence(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function tunnelOf({ underlay: { address, port } }: TableNode): string {
  return `${address} ${port}`;
}
