// The tables in force, arranged for people who look at them: ordered by name, to be searched, with the record of each
// instance. Made once for each generation, and only while somebody looks.

import type { Instance, Service, Tables } from "../../model/tables.ts";
import type { PageSource } from "./page-source.ts";

export interface IndexedService {
  readonly service: Service;
  /** Index of each instance's record, in their order. */
  readonly records: readonly number[];
}

export interface IndexedInstance {
  readonly service: string;
  readonly number: number;
  readonly node: string;
}

interface NodeInstances {
  readonly total: number;
  readonly draining: number;
}

/** How many filters are remembered with what they find. */
const FILTERS_MAX = 64;

export class TableIndex {
  readonly services: readonly IndexedService[]; // by name
  readonly instances: ReadonlyMap<number, IndexedInstance>; // by record
  /** Services whose instances are checked. */
  readonly checked: readonly Service[];
  /** Service of each address that a policy decides about. */
  readonly serviceOf: ReadonlyMap<string, IndexedService>;
  readonly #onNodes: ReadonlyMap<string, NodeInstances>;
  /** What filters are looked for in, by service: made when the first one is. */
  #texts: readonly string[] | undefined;
  readonly #found = new Map<string, readonly IndexedService[]>(); // by filter

  constructor({ services }: Tables, store: Pick<PageSource["store"], "instanceIndices">) {
    this.services = services
      .map((service) => ({ service, records: store.instanceIndices(service.name) }))
      .sort((a, b) => (a.service.name < b.service.name ? -1 : 1));
    this.checked = services.filter(({ health }) => health !== undefined);
    const instances = new Map<number, IndexedInstance>();
    const onNodes = new Map<string, { total: number; draining: number }>();
    const serviceOf = new Map<string, IndexedService>();
    for (const indexed of this.services) {
      const { service, records } = indexed;
      for (const { address } of service.addresses) serviceOf.set(address, indexed);
      service.instances.forEach(({ number, node, draining }, i) => {
        instances.set(records[i] ?? 0, { service: service.name, number, node });
        const counts = onNodes.get(node) ?? { total: 0, draining: 0 };
        onNodes.set(node, counts);
        counts.total += 1;
        if (draining) counts.draining += 1;
      });
    }
    this.instances = instances;
    this.serviceOf = serviceOf;
    this.#onNodes = onNodes;
  }

  /** Services whose name or one of whose addresses, policies and nodes has the text, ordered by name. */
  matching(filter: string): readonly IndexedService[] {
    const wanted = filter.toLowerCase();
    if (wanted === "") return this.services;
    const known = this.#found.get(wanted);
    if (known !== undefined) return known;
    if (this.#found.size >= FILTERS_MAX) this.#found.clear();
    this.#texts ??= this.services.map(({ service }) => textOf(service));
    const texts = this.#texts;
    const found = this.services.filter((_service, i) => texts[i]?.includes(wanted) === true);
    this.#found.set(wanted, found);
    return found;
  }

  on(node: string): NodeInstances {
    return this.#onNodes.get(node) ?? { total: 0, draining: 0 };
  }
}

/** Names and addresses in small letters. */
function textOf({ name, addresses, instances }: Service): string {
  const called = addresses.flatMap(({ address, policy }) => [address, policy]);
  return [name, ...called, ...instances.flatMap(placeOf)].join("\n").toLowerCase();
}

function placeOf({ node, namespaceAddresses, instanceAddresses }: Instance): string[] {
  return [node, ...namespaceAddresses, ...instanceAddresses];
}
