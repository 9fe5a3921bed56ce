// The services in force: by name, and who has which address. A change costs what changes, and takes slices of the main
// thread: what comes is made ready beside what is there (prepare), put in its place at once (commit), and what went is
// cleared away afterwards (release). Until its service is in force, an address has no owner.

import { Slices } from "../../base/slices.ts";
import { PackedService } from "../../model/packed-service.ts";
import type { Service } from "../../model/tables.ts";
import { AddressOwners } from "./address-owners.ts";
import type { TableSizes } from "./emptying.ts";
import { isSameHealth } from "./sameness.ts";
import type { ServiceAtPath } from "./table-validation.ts";

interface Entry {
  readonly service: PackedService;
  /** What the addresses of the service are known by. */
  readonly owner: number;
  /** Whether it has an instance of this node. */
  readonly isLocal: boolean;
  /** How many the service has. */
  readonly addresses: number;
  readonly instances: number;
}

/** What a replacement of all services changes. */
export interface Compared {
  /** All names in their new order; undefined = one that is set. */
  readonly next: Map<string, Entry | undefined>;
  readonly set: readonly ServiceAtPath[];
  readonly removed: readonly string[];
}

type Sizes = Omit<TableSizes, "nodes">;

export class ServicesInForce {
  readonly #nodeId: string;
  #entries = new Map<string, Entry>();
  /** Those with an instance of this node, by name. */
  readonly #local = new Map<string, PackedService>();
  #all: readonly PackedService[] | undefined;
  #sizes: Sizes = { services: 0, addresses: 0, instances: 0 };
  readonly #byOwner: (PackedService | undefined)[] = [undefined]; // owners count from 1
  readonly #freeOwners: number[] = [];
  readonly #called = new AddressOwners((owner, address) => this.#has(owner, hasCalled, address));
  readonly #namespaces = new AddressOwners((owner, address) => this.#has(owner, hasNamespace, address));

  constructor(nodeId: string) {
    this.#nodeId = nodeId;
  }

  get(name: string): PackedService | undefined {
    return this.#entries.get(name)?.service;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** In the order in which they were written; the same list until something changes. */
  all(): readonly PackedService[] {
    this.#all ??= Array.from(this.#entries.values(), ({ service }) => service);
    return this.#all;
  }

  /** Those with an instance of this node, without a look at the others. */
  local(): readonly PackedService[] {
    return [...this.#local.values()];
  }

  get sizes(): Sizes {
    return this.#sizes;
  }

  /** Name of the service that has a service or instance address. */
  addressOwner(address: string): string | undefined {
    return this.#byOwner[this.#called.find(address)]?.name;
  }

  /** Name of the service that has an instance with a namespace address. */
  namespaceOwner(address: string): string | undefined {
    return this.#byOwner[this.#namespaces.find(address)]?.name;
  }

  /** Those that are new or differ from what is in force. */
  async changedAmong(services: readonly Service[]): Promise<ServiceAtPath[]> {
    const changed: ServiceAtPath[] = [];
    await new Slices().each(services, (service, i) => {
      const packed = PackedService.of(service);
      if (!isSame(this.get(service.name), packed)) changed.push({ service: packed, path: ["services", i] });
    });
    return changed;
  }

  /** What it takes to have these services and no others. */
  async compare(services: readonly Service[]): Promise<Compared> {
    const slices = new Slices();
    const next = new Map<string, Entry | undefined>();
    const set: ServiceAtPath[] = [];
    await slices.each(services, (service, i) => {
      const entry = this.#entries.get(service.name);
      const packed = PackedService.of(service);
      const stays = isSame(entry?.service, packed);
      next.set(service.name, stays ? entry : undefined);
      if (!stays) set.push({ service: packed, path: ["services", i] });
    });
    const removed: string[] = [];
    await slices.each(this.#entries.keys(), (name) => {
      if (!next.has(name)) removed.push(name);
    });
    return { next, set, removed };
  }

  /** How many there will be. */
  sizesAfter(set: readonly ServiceAtPath[], removed: readonly string[]): Sizes {
    const sizes = { ...this.#sizes };
    const gone = new Set([...removed, ...set.map(({ service }) => service.name)]);
    for (const name of gone) this.#count(sizes, this.#entries.get(name), -1);
    for (const { service } of set) {
      this.#count(sizes, { addresses: service.addresses.length, instances: service.instances.length }, 1);
    }
    return sizes;
  }

  async prepare(set: readonly ServiceAtPath[]): Promise<Entry[]> {
    const entries: Entry[] = [];
    await new Slices().each(set, ({ service }) => {
      const owner = this.#freeOwners.pop() ?? this.#byOwner.push(undefined) - 1;
      const packed = PackedService.of(service);
      const { addresses, instances } = packed;
      forEachCalled(packed, (address) => this.#called.add(address, owner));
      forEachNamespace(packed, (address) => this.#namespaces.add(address, owner));
      const isLocal = instances.some(({ node }) => node === this.#nodeId);
      entries.push({ service: packed, owner, isLocal, addresses: addresses.length, instances: instances.length });
    });
    return entries;
  }

  /**
   * From now on these are in force and the removed ones are not; returns those that went. `next` is what compare()
   * found, for a replacement.
   */
  commit(entries: readonly Entry[], removed: readonly string[], next: Compared["next"] | undefined): Entry[] {
    const gone: Entry[] = [];
    const sizes = { ...this.#sizes };
    const leave = (name: string): void => {
      const entry = this.#entries.get(name);
      if (entry === undefined) return;
      this.#byOwner[entry.owner] = undefined;
      this.#local.delete(name);
      this.#count(sizes, entry, -1);
      gone.push(entry);
    };
    for (const name of removed) {
      leave(name);
      this.#entries.delete(name);
    }
    for (const entry of entries) {
      const { name } = entry.service;
      leave(name);
      if (next === undefined) this.#entries.set(name, entry);
      else next.set(name, entry);
      this.#byOwner[entry.owner] = entry.service;
      if (entry.isLocal) this.#local.set(name, entry.service);
      this.#count(sizes, entry, 1);
    }
    if (next !== undefined) this.#entries = next as Map<string, Entry>; // all that were undefined have been set
    this.#sizes = sizes;
    this.#all = undefined;
    return gone;
  }

  /** Clears away what commit() replaced, or what was prepared and is not wanted any more. */
  async release(entries: readonly Entry[]): Promise<void> {
    await new Slices().each(entries, ({ service, owner }) => {
      forEachCalled(service, (address) => this.#called.remove(address, owner));
      forEachNamespace(service, (address) => this.#namespaces.remove(address, owner));
      this.#freeOwners.push(owner);
    });
  }

  #has(owner: number, has: (service: Service, address: string) => boolean, address: string): boolean {
    const service = this.#byOwner[owner];
    return service !== undefined && has(service, address);
  }

  #count(
    sizes: { services: number; addresses: number; instances: number },
    entry: Pick<Entry, "addresses" | "instances"> | undefined,
    sign: 1 | -1,
  ): void {
    if (entry === undefined) return;
    sizes.services += sign;
    sizes.addresses += sign * entry.addresses;
    sizes.instances += sign * entry.instances;
  }
}

function isSame(a: PackedService | undefined, b: PackedService): boolean {
  return a === b || (a !== undefined && a.text === b.text && isSameHealth(a.health, b.health));
}

/** Loops, as this is done for every address of a table. */
function forEachCalled({ addresses, instances }: Service, visit: (address: string) => void): void {
  for (const { address } of addresses) visit(address);
  for (const { instanceAddresses } of instances) for (const address of instanceAddresses) visit(address);
}

function forEachNamespace({ instances }: Service, visit: (address: string) => void): void {
  for (const { namespaceAddresses } of instances) for (const address of namespaceAddresses) visit(address);
}

function hasCalled({ addresses, instances }: Service, address: string): boolean {
  return (
    addresses.some((one) => one.address === address) ||
    instances.some(({ instanceAddresses }) => instanceAddresses.includes(address))
  );
}

function hasNamespace({ instances }: Service, address: string): boolean {
  return instances.some(({ namespaceAddresses }) => namespaceAddresses.includes(address));
}
