// The truth about nodes and services. Every change is checked as a whole and put in force as one generation, or
// refused with every field named that is wrong, and then all stays as it was. Changes take turns.

import * as AddressLayout from "../../../assembly/shared/layout/address.ts";
import { SapwoodError } from "../../base/errors.ts";
import { type FieldPath, type Issue, issueLines } from "../../base/issues.ts";
import type { TableChange, TableNode } from "../../memory/table-change.ts";
import type { TableCounts } from "../../memory/table-counts.ts";
import type { TableWriter } from "../../memory/table-writer.ts";
import type { Endpoint, Location, Node, Service, Tables, TablesPatch } from "../../model/tables.ts";
import { distanceKm } from "../../net/location.ts";
import { emptyingIssues } from "./emptying.ts";
import { mergeTables } from "./merged-tables.ts";
import { isSameNode, isSameService } from "./sameness.ts";
import {
  duplicateNames,
  nodeIssues,
  type ServiceAtPath,
  serviceIssues,
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

/** Where an instance record leads in reports. */
export interface InstanceName {
  readonly service: string;
  readonly number: number;
  readonly node: string;
}

const NO_TABLES: Tables = { nodes: [], services: [] };

export class TableStore {
  readonly #writer: TableWriter;
  readonly #options: TableStoreOptions;
  #tables: Tables = NO_TABLES;
  #nodes: ReadonlyMap<string, Node> = new Map();
  #services = new Map<string, Service>();
  readonly #addressOwners = new Map<string, string>();
  readonly #namespaceOwners = new Map<string, string>();
  #turn: Promise<unknown> = Promise.resolve();
  readonly #listeners: ((changed: ChangedServices) => void | Promise<void>)[] = [];

  constructor(writer: TableWriter, options: TableStoreOptions) {
    this.#writer = writer;
    this.#options = options;
  }

  /** The tables in force. */
  snapshot(): Tables {
    return this.#tables;
  }

  get generation(): number {
    return this.#writer.generation;
  }

  /** How much of each capacity the tables in force use. */
  get usage(): TableCounts {
    return this.#writer.usage();
  }

  /** Is told of each change that came into force, before the next; the change is done when the listener is. */
  onChange(listener: (changed: ChangedServices) => void | Promise<void>): void {
    this.#listeners.push(listener);
  }

  /** Makes these the tables in force. Without any difference the generation stays. */
  apply(tables: Tables): Promise<Applied> {
    return this.#inTurn(() => this.#putInForce(this.#replacement(tables)));
  }

  /**
   * Makes some changes to the tables in force, at a cost that hardly depends on what stays. They are newer than what
   * stays: an instance of another service that has the namespace address of one that comes is withdrawn. A function is
   * given what the change finds in force.
   */
  merge(patch: TablesPatch | ((inForce: Tables) => TablesPatch)): Promise<Applied> {
    return this.#inTurn(async () => {
      return this.#putInForce(this.#patched(typeof patch === "function" ? patch(this.#tables) : patch));
    });
  }

  /** Refuses what apply() would refuse, and changes nothing. */
  previewApply(tables: Tables): Promise<Preview> {
    return this.#inTurn(() => this.#preview(this.#replacement(tables)));
  }

  /** The same for merge(). */
  previewMerge(patch: TablesPatch): Promise<Preview> {
    return this.#inTurn(() => this.#preview(this.#patched(patch)));
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
    return this.#addressOwners.has(address);
  }

  hasService(name: string): boolean {
    return this.#services.has(name);
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
    for (const service of this.#tables.services) {
      this.#writer.instanceIndices(service.name).forEach((index, i) => {
        const instance = service.instances[i];
        if (instance !== undefined) {
          names.set(index, { service: service.name, number: instance.number, node: instance.node });
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

  #replacement(tables: Tables): Planned {
    const issues = [...duplicateNames(tables), ...nodeIssues(tables.nodes, this.#options)];
    return { tables, difference: this.#difference(tables), issues, withdrawn: [] };
  }

  #patched(patch: TablesPatch): Planned {
    const withdrawn = withdrawnBy(patch, this.#services, (address) => this.#namespaceOwners.get(address));
    const whole = { ...patch, services: [...patch.services, ...withoutInstances(withdrawn, this.#services)] };
    const tables = mergeTables(this.#tables, whole);
    const emptying = patch.keepsSome ? emptyingIssues(tables, this.#tables) : [];
    const issues = [...this.#patchIssues(patch), ...emptying];
    return { tables, difference: this.#patchDifference(whole), issues, withdrawn };
  }

  async #preview(planned: Planned): Promise<Preview> {
    const { tables, difference } = planned;
    this.#check(planned);
    this.#options.underlay?.requireOthers(difference.setNodes);
    await this.#writer.check(this.#tableChange(difference));
    return { generation: this.#writer.generation, before: this.#tables, after: tables };
  }

  async #putInForce(planned: Planned): Promise<Applied> {
    this.#check(planned);
    const { tables, difference, withdrawn } = planned;
    const { setNodes, removeNodes, removeServices } = difference;
    const setServices = difference.setServices.map(({ service }) => service);
    const changes = {
      nodesSet: setNodes.length,
      nodesRemoved: removeNodes.length,
      servicesSet: setServices.length,
      servicesRemoved: removeServices.length,
    };
    let { generation } = this.#writer;
    if (Object.values(changes).some((count) => count > 0)) {
      await this.#options.underlay?.admit(setNodes);
      generation = await this.#writer.apply(this.#tableChange(difference));
    }
    this.#commit(tables, setServices, removeServices);
    for (const { service, number, address, by } of withdrawn) {
      this.#options.tell?.(
        `instance ${number} of ${service} is withdrawn: ${by} has its namespace address ${address} now`,
      );
    }
    await this.#options.underlay?.settle(setNodes, removeNodes);
    await Promise.all(this.#listeners.map((listener) => listener({ setServices, removeServices })));
    return { generation, changes };
  }

  #difference(tables: Tables): Difference {
    const nodeIds = new Set(tables.nodes.map(({ id }) => id));
    const names = new Set(tables.services.map(({ name }) => name));
    return {
      ...this.#changesIn(tables),
      pathOf: (_, i) => ["services", i],
      removeNodes: [...this.#nodes.keys()].filter((id) => !nodeIds.has(id)),
      removeServices: [...this.#services.keys()].filter((name) => !names.has(name)),
    };
  }

  #patchDifference(patch: TablesPatch): Difference {
    const { nodes: removeNodes, services: removeServices } = patch.remove;
    return { ...this.#changesIn(patch), pathOf: ({ name }) => ["services", name], removeNodes, removeServices };
  }

  /** The nodes and services among these that differ from those in force. */
  #changesIn({ nodes, services }: Tables): Pick<Difference, "setNodes" | "setServices"> {
    const setServices: ServiceAtPath[] = [];
    services.forEach((service, i) => {
      const before = this.#services.get(service.name);
      if (before === undefined || !isSameService(before, service)) {
        setServices.push({ service, path: ["services", i] });
      }
    });
    return { setNodes: nodes.filter((node) => !isSameNode(this.#nodes.get(node.id), node)), setServices };
  }

  /** What is wrong with a patch but for its services. */
  #patchIssues(patch: TablesPatch): Issue[] {
    const ids = new Set([...patch.nodes.map(({ id }) => id), ...patch.remove.nodes]);
    const staying = this.#tables.nodes.filter(({ id }) => !ids.has(id)); // right by themselves
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

  #check({ tables, difference, issues: found }: Planned): void {
    const { setServices, removeServices, removeNodes } = difference;
    // A node that goes may still be named by services that are otherwise the same.
    const checked = removeNodes.length === 0 ? setServices : withInstancesOnRemoved(tables, difference);
    const touched = new Set([...removeServices, ...checked.map(({ service }) => service.name)]);
    const untouched = (owner: string | undefined) => (owner === undefined || touched.has(owner) ? undefined : owner);
    const taken: Taken = {
      addressOwner: (address) => untouched(this.#addressOwners.get(address)),
      namespaceOwner: (address) => untouched(this.#namespaceOwners.get(address)),
    };
    const nodeIds = new Set([this.#options.nodeId, ...tables.nodes.map(({ id }) => id)]);
    const issues = [...found, ...serviceIssues(checked, nodeIds, this.#options, taken)];
    if (issues.length > 0) throw new SapwoodError("tables-invalid", issueLines(issues));
  }

  #commit(tables: Tables, setServices: readonly Service[], removeServices: readonly string[]): void {
    for (const name of removeServices) this.#forget(name);
    for (const { name } of setServices) this.#forget(name);
    for (const service of setServices) {
      this.#services.set(service.name, service);
      for (const address of calledAddresses(service)) this.#addressOwners.set(address, service.name);
      for (const address of namespaceAddresses(service)) this.#namespaceOwners.set(address, service.name);
    }
    this.#nodes = new Map(tables.nodes.map((node) => [node.id, node]));
    this.#tables = tables;
  }

  #forget(name: string): void {
    const service = this.#services.get(name);
    if (service === undefined) return;
    for (const address of calledAddresses(service)) this.#addressOwners.delete(address);
    for (const address of namespaceAddresses(service)) this.#namespaceOwners.delete(address);
    this.#services.delete(name);
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
  readonly tables: Tables; // as they will be
  readonly difference: Difference;
  readonly issues: readonly Issue[]; // those that were found already
  readonly withdrawn: readonly Withdrawn[];
}

interface Difference {
  /** Field of a service that stays; `i` is its place in the tables that come. */
  pathOf(service: Service, i: number): FieldPath;
  readonly setNodes: readonly Node[];
  readonly removeNodes: readonly string[];
  readonly setServices: readonly ServiceAtPath[];
  readonly removeServices: readonly string[];
}

/** The services to be set, and those that have an instance on a node that goes. */
function withInstancesOnRemoved({ services }: Tables, { setServices, removeNodes, pathOf }: Difference) {
  const set = new Set(setServices.map(({ service }) => service));
  const gone = new Set(removeNodes);
  const others = services
    .map((service, i) => ({ service, path: pathOf(service, i) }))
    .filter(({ service }) => !set.has(service) && service.instances.some(({ node }) => gone.has(node)));
  return [...setServices, ...others];
}

/** A name that is mistyped would otherwise stay, and nobody would notice. */
function removalIssues(
  section: string,
  names: readonly string[],
  inForce: ReadonlyMap<string, unknown>,
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
      : [{ path: ["remove", section, i], message: `expected ${expected}, found ${name}` }];
  });
}

function nameOf({ name }: Service): string {
  return name;
}

function calledAddresses(service: Service): string[] {
  return [
    ...service.addresses.map(({ address }) => address),
    ...service.instances.flatMap(({ instanceAddresses }) => instanceAddresses),
  ];
}

function namespaceAddresses(service: Service): string[] {
  return service.instances.flatMap((instance) => instance.namespaceAddresses);
}

/** Where a node's datagrams come from. */
export function sendersOf({ accept }: Node, endpoint: Endpoint): Endpoint[] {
  const port = accept?.anyPort ? AddressLayout.ANY_PORT : endpoint.port;
  return [endpoint.address, ...(accept?.addresses ?? [])].map((address) => ({ address, port }));
}
