// The truth about nodes and services. Every change is checked as a whole and put in force as one generation, or
// refused with every field named that is wrong, and then all stays as it was. Changes take turns.

import * as AddressLayout from "../../../assembly/shared/layout/address.ts";
import { SapwoodError } from "../../base/errors.ts";
import { type Issue, issueLines, shortText } from "../../base/issues.ts";
import { Slices } from "../../base/slices.ts";
import type { TableChange, TableNode } from "../../memory/table-change.ts";
import type { TableCounts } from "../../memory/table-counts.ts";
import type { TableWriter } from "../../memory/table-writer.ts";
import type { Endpoint, Location, Node, Service, Tables, TablesPatch } from "../../model/tables.ts";
import { distanceKm } from "../../net/location.ts";
import { emptyingIssues, type TableSizes } from "./emptying.ts";
import { mergeNodes, mergeTables } from "./merged-tables.ts";
import { isSameNode } from "./sameness.ts";
import { type Compared, ServicesInForce } from "./services-in-force.ts";
import {
  checkedBy,
  duplicateNames,
  nodeIssues,
  rulesKey,
  type ServiceAtPath,
  ServiceCheck,
  type TableRules,
  type Taken,
} from "./table-validation.ts";
import { type Withdrawn, withdrawnBy, withoutInstances } from "./withdrawal.ts";

export interface TableStoreOptions extends TableRules {
  /** Of this node, for the distances of the others. */
  readonly location?: Location | undefined;
  /** The encrypted underlay; without it nodes are where their entries say. */
  readonly underlay?: NodePlacement | undefined;
  /** Is told of each instance that a newer record withdraws, one sentence each. */
  readonly tell?: ((sentence: string) => void) | undefined;
}

/** Knows where nodes are that are not where their entries say. */
interface NodePlacement {
  endpointOf(node: Node): Endpoint;
  /** Throws what admit() would refuse the nodes for. */
  requireOthers(nodes: readonly Node[]): void;
  /** Before nodes come into force; what it throws refuses the change. */
  admit(nodes: readonly Node[]): Promise<void>;
  /** After nodes came into force, or went. */
  settle(set: readonly Node[], removed: readonly string[]): Promise<void>;
}

/** What a generation changed. */
interface ChangeCounts {
  readonly nodesSet: number;
  readonly nodesRemoved: number;
  readonly servicesSet: number;
  readonly servicesRemoved: number;
}

/** A change that would not be refused. */
export interface Preview {
  readonly generation: number; // in force
  readonly before: Tables;
  readonly after: Tables;
}

interface Applied {
  readonly generation: number;
  readonly changes: ChangeCounts;
}

/** The services that came or changed, and the names of those that went. */
export interface ChangedServices {
  readonly setServices: readonly Service[];
  readonly removeServices: readonly string[];
}

/** What a generation changed, for those who follow. */
interface ChangedTables extends ChangedServices {
  /** Whether other nodes, or services with an instance of this node, are among it. */
  readonly isNearby: boolean;
}

/** Where an instance record leads in reports. */
export interface InstanceName {
  readonly service: string;
  readonly number: number;
  readonly node: string;
}

export class TableStore {
  readonly #writer: TableWriter;
  readonly #options: TableStoreOptions;
  #nodes: ReadonlyMap<string, Node> = new Map();
  readonly #services: ServicesInForce;
  /** Given to somebody since the last change. */
  #snapshot: Tables | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #listeners: ((changed: ChangedTables) => void | Promise<void>)[] = [];

  constructor(writer: TableWriter, options: TableStoreOptions) {
    this.#writer = writer;
    this.#options = options;
    this.#services = new ServicesInForce(options.nodeId);
  }

  /** The tables in force. */
  snapshot(): Tables {
    this.#snapshot ??= snapshotOf(this.nodes, () => this.#services.all());
    return this.#snapshot;
  }

  /** The other nodes in force. */
  get nodes(): readonly Node[] {
    return [...this.#nodes.values()];
  }

  /** The services with an instance of this node, without a look at the others. */
  get localServices(): readonly Service[] {
    return this.#services.local();
  }

  /** Without a look at all of them. */
  get sizes(): TableSizes {
    return { ...this.#services.sizes, nodes: this.#nodes.size };
  }

  get generation(): number {
    return this.#writer.generation;
  }

  /** How much of each capacity the tables in force use. */
  get usage(): TableCounts {
    return this.#writer.usage();
  }

  /** Is told of each change that came into force, before the next; the change is done when the listener is. */
  onChange(listener: (changed: ChangedTables) => void | Promise<void>): void {
    this.#listeners.push(listener);
  }

  /** Makes these the tables in force. Without any difference the generation stays. */
  apply(tables: Tables): Promise<Applied> {
    return this.#inTurn(async () => this.#putInForce(await this.#replacement(tables)));
  }

  /**
   * Makes some changes to the tables in force, at a cost that hardly depends on what stays. They are newer than what
   * stays: an instance of another service that has the namespace address of one that comes is withdrawn. A function is
   * given what the change finds in force.
   */
  merge(patch: TablesPatch | ((inForce: Tables) => TablesPatch)): Promise<Applied> {
    return this.#inTurn(async () => {
      return this.#putInForce(await this.#patched(typeof patch === "function" ? patch(this.snapshot()) : patch));
    });
  }

  /** Throws what apply() would throw for rules that are not kept. */
  check(tables: Tables): Promise<void> {
    return this.#inTurn(async () => this.#check(await this.#replacement(tables)));
  }

  /** Refuses what apply() would refuse, and changes nothing. */
  previewApply(tables: Tables): Promise<Preview> {
    return this.#inTurn(async () => this.#preview(await this.#replacement(tables)));
  }

  /** The same for merge(). */
  previewMerge(patch: TablesPatch): Promise<Preview> {
    return this.#inTurn(async () => this.#preview(await this.#patched(patch)));
  }

  /** Asks anew where these nodes are. */
  moveNodes(ids: readonly string[]): Promise<number> {
    return this.#inTurn(() => {
      const setNodes = ids.flatMap((id) => this.#nodes.get(id) ?? []).map((node) => this.#tableNode(node));
      return this.#writer.apply({ setNodes });
    });
  }

  /** Whether a service or an instance has the address, given in canonical text. */
  hasAddress(address: string): boolean {
    return this.#services.addressOwner(address) !== undefined;
  }

  hasService(name: string): boolean {
    return this.#services.has(name);
  }

  /** Whether it is this one, of those that snapshot() has, that is in force under its name. */
  isInForce(service: Service): boolean {
    return this.#services.get(service.name) === service;
  }

  nodeIndex(id: string): number | undefined {
    return this.#writer.nodeIndex(id);
  }

  /** Indices of the records of a service's instances, in their order. */
  instanceIndices(service: string): readonly number[] {
    return this.#writer.instanceIndices(service);
  }

  /** All instances in force by the index of their record. */
  instanceNames(): Map<number, InstanceName> {
    const names = new Map<number, InstanceName>();
    for (const { name, instances } of this.#services.all()) {
      this.#writer.instanceIndices(name).forEach((index, i) => {
        const instance = instances[i];
        if (instance !== undefined) {
          names.set(index, { service: name, number: instance.number, node: instance.node });
        }
      });
    }
    return names;
  }

  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const applied = this.#turn.then(change);
    this.#turn = applied.catch(() => undefined); // the caller is told
    return applied;
  }

  async #replacement(tables: Tables): Promise<Planned> {
    const { nodes, services } = tables;
    const isChecked = checkedBy(tables) === rulesKey(this.#options);
    const ids = new Set(nodes.map(({ id }) => id));
    const { next, set, removed } = await this.#services.compare(services);
    return {
      nodes,
      next,
      after: () => ({ nodes, services }),
      difference: {
        setNodes: this.#changedNodes(nodes),
        removeNodes: [...this.#nodes.keys()].filter((id) => !ids.has(id)),
        setServices: set,
        removeServices: removed,
      },
      issues: isChecked ? [] : [...duplicateNames({ services }), ...nodeIssues(nodes, this.#options)],
      isChecked,
      doubtful: isChecked ? [] : await this.#services.doubtfulAmong(set),
      withdrawn: [],
    };
  }

  async #patched(patch: TablesPatch): Promise<Planned> {
    const inForce = this.#services;
    const changed = await inForce.changedAmong(patch.services);
    const doubtful = await inForce.doubtfulAmong(changed);
    const withdrawn = await withdrawnBy(patch, doubtful, inForce);
    const losing = withoutInstances(withdrawn, inForce);
    const less = await inForce.changedAmong(losing, patch.services.length);
    const { nodes: removeNodes, services: removeServices } = patch.remove;
    const nodes = mergeNodes(this.nodes, patch);
    const difference = {
      setNodes: this.#changedNodes(patch.nodes),
      removeNodes,
      setServices: [...changed, ...less],
      removeServices,
    };
    const planned = {
      ...{ nodes, next: undefined, difference, withdrawn, isChecked: false },
      doubtful: [...doubtful, ...less],
      after: (before: Tables) => mergeTables(before, { ...patch, services: [...patch.services, ...losing] }),
    };
    const sizes = { ...inForce.sizesAfter(difference.setServices, removeServices), nodes: nodes.length };
    const emptying = patch.keepsSome ? emptyingIssues(sizes, this.sizes) : [];
    return { ...planned, issues: [...this.#patchIssues(patch), ...emptying] };
  }

  #changedNodes(nodes: readonly Node[]): Node[] {
    return nodes.filter((node) => !isSameNode(this.#nodes.get(node.id), node));
  }

  async #preview(planned: Planned): Promise<Preview> {
    const { difference } = planned;
    await this.#check(planned);
    this.#options.underlay?.requireOthers(difference.setNodes);
    await this.#writer.check(this.#tableChange(difference));
    const before = { nodes: this.nodes, services: this.#services.all() };
    return { generation: this.#writer.generation, before, after: planned.after(before) };
  }

  async #putInForce(planned: Planned): Promise<Applied> {
    await this.#check(planned);
    const { nodes, difference, next, withdrawn } = planned;
    const { setNodes, removeNodes, setServices, removeServices } = difference;
    const changes = {
      nodesSet: setNodes.length,
      nodesRemoved: removeNodes.length,
      servicesSet: setServices.length,
      servicesRemoved: removeServices.length,
    };
    let { generation } = this.#writer;
    const prepared = await this.#services.prepare(setServices, removeServices, next);
    try {
      if (Object.values(changes).some((count) => count > 0)) {
        await this.#options.underlay?.admit(setNodes);
        generation = await this.#writer.apply(this.#tableChange(difference));
      }
    } catch (error) {
      await this.#services.release(prepared.entries);
      throw error;
    }
    void this.#snapshot?.services; // whoever has it reads what it was made of
    this.#snapshot = undefined;
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
    const local = this.#services.local();
    const replaced = this.#services.commit(prepared);
    const isNearby = changes.nodesSet + changes.nodesRemoved > 0 || !isSameList(local, this.#services.local());
    for (const { service, number, address, by } of withdrawn) {
      this.#options.tell?.(
        `instance ${number} of ${service} is withdrawn: ${by} has its namespace address ${address} now`,
      );
    }
    await this.#services.release(replaced);
    await this.#options.underlay?.settle(setNodes, removeNodes);
    const changed = { setServices: setServices.map(({ service }) => service), removeServices, isNearby };
    await Promise.all(this.#listeners.map((listener) => listener(changed)));
    return { generation, changes };
  }

  /** What is wrong with a patch but for its services. */
  #patchIssues(patch: TablesPatch): Issue[] {
    const ids = new Set([...patch.nodes.map(({ id }) => id), ...patch.remove.nodes]);
    const staying = this.nodes.filter(({ id }) => !ids.has(id)); // right by themselves
    return [
      ...duplicateNames(patch),
      ...nodeIssues([...staying, ...patch.nodes], this.#options).map(({ path: [section, i, ...field], message }) => {
        return { path: [section ?? "", Number(i) - staying.length, ...field], message };
      }),
      ...removalIssues("nodes", patch.remove.nodes, this.#nodes, new Set(patch.nodes.map(({ id }) => id))),
      ...removalIssues("services", patch.remove.services, this.#services, new Set(patch.services.map(nameOf))),
    ];
  }

  #tableChange({ setNodes, removeNodes, setServices, removeServices }: Difference): TableChange {
    return {
      setNodes: setNodes.map((node) => this.#tableNode(node)),
      removeNodes,
      setServices: setServices.map(({ service }) => service),
      removeServices,
    };
  }

  async #check({ nodes, next, difference, doubtful, issues: found, isChecked }: Planned): Promise<void> {
    if (isChecked) return;
    const { setServices, removeServices, removeNodes } = difference;
    // A node that goes may still be named by services that are otherwise the same.
    const checked = removeNodes.length === 0 ? doubtful : [...setServices, ...this.#onRemoved(difference, next)];
    const touched = new Set([...removeServices, ...checked.map(({ service }) => service.name)]);
    const taken: Taken = {
      addressOwner: (address) => this.#services.addressOwner(address, touched),
      namespaceOwner: (address) => this.#services.namespaceOwner(address, touched),
    };
    const nodeIds = new Set([this.#options.nodeId, ...nodes.map(({ id }) => id)]);
    const check = new ServiceCheck(nodeIds, this.#options, taken);
    await new Slices().each(checked, ({ service, path }) => check.service(service, path));
    const issues = [...found, ...check.issues];
    if (issues.length > 0) throw new SapwoodError("tables-invalid", issueLines(issues));
  }

  /** The services that stay as they are and have an instance on a node that goes. */
  #onRemoved({ setServices, removeServices, removeNodes }: Difference, next: Planned["next"]): ServiceAtPath[] {
    const others = new Set([...setServices.map(({ service }) => service.name), ...removeServices]);
    const gone = new Set(removeNodes);
    const places = next === undefined ? undefined : new Map([...next.entries.keys()].map((name, i) => [name, i]));
    return this.#services
      .all()
      .filter((service) => removeNodes.some((node) => service.mentions(node)) && !others.has(service.name))
      .filter(({ instances }) => instances.some(({ node }) => gone.has(node)))
      .map((service) => ({ service, path: ["services", places?.get(service.name) ?? service.name] }));
  }

  #tableNode(node: Node): TableNode {
    const { id, location } = node;
    const own = this.#options.location;
    const { address, port } = this.#options.underlay?.endpointOf(node) ?? node.underlay;
    return {
      id,
      underlay: { address, port },
      senders: sendersOf(node, { address, port }),
      accept: node.accept,
      distanceKm: own === undefined || location === undefined ? Number.NaN : distanceKm(own, location),
    };
  }
}

/** A change before it is checked. */
interface Planned {
  readonly nodes: readonly Node[]; // as they will be
  readonly next: Compared["next"] | undefined; // of a replacement
  /** What these tables become by it. */
  after(before: Tables): Tables;
  readonly difference: Difference;
  readonly doubtful: readonly ServiceAtPath[]; // of those that are set, the ones that may break a rule
  readonly issues: readonly Issue[]; // those that were found already
  readonly isChecked: boolean; // nothing else need be looked for
  readonly withdrawn: readonly Withdrawn[];
}

interface Difference {
  readonly setNodes: readonly Node[];
  readonly removeNodes: readonly string[];
  readonly setServices: readonly ServiceAtPath[];
  readonly removeServices: readonly string[];
}

/** The tables of one generation. The services are listed when somebody asks for them. */
function snapshotOf(nodes: readonly Node[], list: () => readonly Service[]): Tables {
  let services: readonly Service[] | undefined;
  return {
    nodes,
    get services() {
      services ??= list();
      return services;
    },
  };
}

/** A name that is mistyped would otherwise stay, and nobody would notice. */
function removalIssues(
  section: string,
  names: readonly string[],
  inForce: Pick<ReadonlyMap<string, unknown>, "has">,
  set: ReadonlySet<string>,
): Issue[] {
  return names.flatMap((name, i) => {
    const expected = !inForce.has(name)
      ? "a name that is in force"
      : set.has(name)
        ? `a name that ${section} does not set`
        : undefined;
    return expected === undefined
      ? []
      : [{ path: ["remove", section, i], message: `expected ${expected}, found ${shortText(name)}` }];
  });
}

function nameOf({ name }: Service): string {
  return name;
}

function isSameList(a: readonly Service[], b: readonly Service[]): boolean {
  return a.length === b.length && a.every((service, i) => service === b[i]);
}

/** Where a node's datagrams come from. */
export function sendersOf({ accept }: Node, endpoint: Endpoint): Endpoint[] {
  const port = accept?.anyPort ? AddressLayout.ANY_PORT : endpoint.port;
  return [endpoint.address, ...(accept?.addresses ?? [])].map((address) => ({ address, port }));
}
