// The services in force: by name, and who has which address. A change costs what changes, and takes slices of the main
// thread: what comes is made ready beside what is there (prepare), put in its place at once (commit), and what went is
// cleared away afterwards (release). Until its service is in force, an address has no owner.

import { Slices } from "../../base/slices.ts";
import { notAnAddress } from "../../memory/cells.ts";
import { PackedService, PackedText, ServiceCursor } from "../../model/packed-service.ts";
import type { Service } from "../../model/tables.ts";
import { ADDRESS_SIZE } from "../../net/address.ts";
import { isSamePart, packAddress } from "../../net/packed-address.ts";
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

/** All services of a replacement. */
interface Next {
  /** By name, in their new order; undefined = one that is set and not prepared yet. */
  readonly entries: Map<string, Entry | undefined>;
  readonly local: Map<string, PackedService>;
}

/** What a replacement of all services changes. */
export interface Compared {
  readonly next: Next;
  readonly set: readonly ServiceAtPath[];
  readonly removed: readonly string[];
}

type Sizes = Omit<TableSizes, "nodes">;

/** What comes, ready to be put in force. */
interface Prepared {
  readonly entries: readonly Entry[];
  readonly removed: readonly string[];
  readonly next: Next | undefined; // of a replacement
  readonly sizes: Sizes; // afterwards
}

const NONE: ReadonlySet<string> = new Set();

export class ServicesInForce {
  #entries = new Map<string, Entry>();
  /** Those with an instance of this node, by name. */
  #local = new Map<string, PackedService>();
  #all: readonly PackedService[] | undefined;
  #sizes: Sizes = { services: 0, addresses: 0, instances: 0 };
  /** By owners, which count from 1: a service with its addresses, perhaps one that is not in force yet or any more. */
  readonly #byOwner: (PackedService | undefined)[] = [undefined];
  readonly #freeOwners: number[] = [];
  readonly #called = new AddressOwners((owner, packed) => this.#isCalled(owner, packed));
  readonly #namespaces = new AddressOwners((owner, packed) => this.#isNamespace(owner, packed));
  readonly #cursor = new ServiceCursor();
  readonly #former = new ServiceCursor();
  readonly #nodeId: PackedText;
  /** Of the search that is under way: services whose addresses do not count. */
  #except: ReadonlySet<string> = NONE;

  constructor(nodeId: string) {
    this.#nodeId = new PackedText(nodeId);
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

  /** Name of the service that has a service or instance address, of all but those of `except`. */
  addressOwner(address: string, except = NONE): string | undefined {
    return this.#ownerIn(this.#called, address, except);
  }

  /** Likewise of the one that has an instance with a namespace address. */
  namespaceOwner(address: string, except = NONE): string | undefined {
    return this.#ownerIn(this.#namespaces, address, except);
  }

  /** Those that are new or differ from what is in force; the first is at place `from` of a document. */
  async changedAmong(services: readonly Service[], from = 0): Promise<ServiceAtPath[]> {
    const changed: ServiceAtPath[] = [];
    await new Slices().each(services, (service, i) => {
      const packed = PackedService.of(service);
      if (!isSame(this.get(service.name), packed)) changed.push({ service: packed, path: ["services", from + i] });
    });
    return changed;
  }

  /**
   * Those that differ from what is in force in more than weights and draining. The others keep all rules: their
   * addresses, policies and nodes are those that were found right before.
   */
  async doubtfulAmong(services: readonly ServiceAtPath[]): Promise<ServiceAtPath[]> {
    const doubtful: ServiceAtPath[] = [];
    await new Slices().each(services, (placed) => {
      const packed = PackedService.of(placed.service);
      const former = this.get(packed.name);
      if (former === undefined || !this.#differsInWeights(former, packed)) doubtful.push(placed);
    });
    return doubtful;
  }

  /** What it takes to have these services and no others. */
  async compare(services: readonly Service[]): Promise<Compared> {
    const slices = new Slices();
    const next: Next = { entries: new Map(), local: new Map() };
    const set: ServiceAtPath[] = [];
    await slices.each(services, (service, i) => {
      const entry = this.#entries.get(service.name);
      const packed = PackedService.of(service);
      const stays = isSame(entry?.service, packed);
      next.entries.set(service.name, stays ? entry : undefined);
      if (!stays) set.push({ service: packed, path: ["services", i] });
      else if (entry?.isLocal) next.local.set(service.name, entry.service);
    });
    const removed: string[] = [];
    await slices.each(this.#entries.keys(), (name) => {
      if (!next.entries.has(name)) removed.push(name);
    });
    return { next, set, removed };
  }

  /** How many there will be. */
  sizesAfter(set: readonly ServiceAtPath[], removed: readonly string[]): Sizes {
    const sizes = { ...this.#sizes };
    const gone = new Set([...removed, ...set.map(({ service }) => service.name)]);
    for (const name of gone) this.#count(sizes, this.#entries.get(name), -1);
    for (const { service } of set) this.#count(sizes, PackedService.of(service).counts, 1);
    return sizes;
  }

  /** `next` is what compare() found, for a replacement. */
  async prepare(set: readonly ServiceAtPath[], removed: readonly string[], next: Next | undefined): Promise<Prepared> {
    const slices = new Slices();
    const entries: Entry[] = [];
    const sizes = { ...this.#sizes };
    await slices.each(removed, (name) => this.#count(sizes, this.#entries.get(name), -1));
    const room = { called: 0, namespaces: 0 };
    await slices.each(set, ({ service }) => {
      const packed = PackedService.of(service);
      const former = this.#entries.get(packed.name);
      const keeps = former !== undefined && this.#hasSameAddresses(former.service, packed);
      const owner = keeps ? former.owner : (this.#freeOwners.pop() ?? this.#byOwner.push(undefined) - 1);
      const entry = { ...this.#measure(packed, keeps ? undefined : room), service: packed, owner };
      if (!keeps) this.#byOwner[owner] = packed;
      this.#count(sizes, former, -1);
      this.#count(sizes, entry, 1);
      entries.push(entry);
      next?.entries.set(packed.name, entry);
      if (entry.isLocal) next?.local.set(packed.name, packed);
    });
    await this.#called.reserve(room.called);
    await this.#namespaces.reserve(room.namespaces);
    await slices.each(entries, ({ service, owner }) => {
      if (this.#byOwner[owner] !== service) return; // it keeps those of the service before
      this.#eachAddress(service, (owners, at) => owners.add(service.bytes, at, owner));
    });
    return { entries, removed, next, sizes };
  }

  /** From now on what was prepared is in force; returns what release() is to be given. */
  commit({ entries, removed, next, sizes }: Prepared): Iterable<Entry> {
    const before = next === undefined ? this.#putAmongOthers(entries, removed) : this.#entries.values();
    if (next !== undefined) {
      this.#entries = next.entries as Map<string, Entry>; // all that were undefined have been set
      this.#local = next.local;
    }
    this.#sizes = sizes;
    this.#all = undefined;
    return before;
  }

  /** Clears away what commit() replaced, or what was prepared and is not wanted any more. */
  async release(entries: Iterable<Entry>): Promise<void> {
    await new Slices().each(entries, ({ service, owner }) => {
      const inForce = this.#entries.get(service.name);
      if (inForce?.owner === owner) {
        this.#byOwner[owner] = inForce.service; // it has the addresses still
        return;
      }
      this.#eachAddress(service, (owners, at) => owners.remove(service.bytes, at, owner));
      this.#byOwner[owner] = undefined;
      this.#freeOwners.push(owner);
    });
  }

  #putAmongOthers(entries: readonly Entry[], removed: readonly string[]): Entry[] {
    const before: Entry[] = [];
    const leave = (name: string): void => {
      const entry = this.#entries.get(name);
      if (entry !== undefined) before.push(entry);
      this.#local.delete(name);
    };
    for (const name of removed) {
      leave(name);
      this.#entries.delete(name);
    }
    for (const entry of entries) {
      const { name } = entry.service;
      leave(name);
      this.#entries.set(name, entry);
      if (entry.isLocal) this.#local.set(name, entry.service);
    }
    return before;
  }

  /** What a service has; adds its addresses to the room that is needed for them. */
  #measure(service: PackedService, room: { called: number; namespaces: number } | undefined) {
    const cursor = this.#cursor;
    cursor.start(service);
    const { addresses, instances } = cursor;
    let isLocal = false;
    if (room !== undefined) room.called += addresses;
    while (cursor.nextInstance()) {
      isLocal ||= this.#nodeId.isAt(cursor.bytes, cursor.nodeAt, cursor.nodeEnd);
      if (room === undefined) continue;
      room.called += cursor.own;
      room.namespaces += cursor.namespaces;
    }
    return { addresses, instances, isLocal };
  }

  /** Goes through the addresses of a service; each is at `at` of its bytes, and its owner in `owners`. */
  #eachAddress(service: PackedService, visit: (owners: AddressOwners, at: number) => void): void {
    const cursor = this.#cursor;
    cursor.start(service);
    while (cursor.nextAddress()) visit(this.#called, cursor.addressAt);
    while (cursor.nextInstance()) {
      for (let i = 0; i < cursor.namespaces; i++) visit(this.#namespaces, cursor.namespacesAt + i * ADDRESS_SIZE);
      for (let i = 0; i < cursor.own; i++) visit(this.#called, cursor.ownAt + i * ADDRESS_SIZE);
    }
  }

  #ownerIn(owners: AddressOwners, address: string, except: ReadonlySet<string>): string | undefined {
    const packed = packAddress(address);
    if (packed === undefined) throw notAnAddress(address);
    this.#except = except;
    const owner = owners.find(packed);
    this.#except = NONE;
    return this.#byOwner[owner]?.name;
  }

  /** At a service that is in force and counts; undefined at one that does not. */
  #cursorAt(owner: number): ServiceCursor | undefined {
    const service = this.#byOwner[owner];
    if (service === undefined || this.#except.has(service.name)) return undefined;
    if (this.#entries.get(service.name)?.owner !== owner) return undefined;
    this.#cursor.start(service);
    return this.#cursor;
  }

  #isCalled(owner: number, packed: string): boolean {
    const cursor = this.#cursorAt(owner);
    while (cursor?.nextAddress()) if (hasAddress(cursor.bytes, cursor.addressAt, 1, packed)) return true;
    while (cursor?.nextInstance()) if (hasAddress(cursor.bytes, cursor.ownAt, cursor.own, packed)) return true;
    return false;
  }

  #isNamespace(owner: number, packed: string): boolean {
    const cursor = this.#cursorAt(owner);
    while (cursor?.nextInstance()) {
      if (hasAddress(cursor.bytes, cursor.namespacesAt, cursor.namespaces, packed)) return true;
    }
    return false;
  }

  /** Whether two services of one name say the same but for weights, which are right, and draining. */
  #differsInWeights(a: PackedService, b: PackedService): boolean {
    if (!b.isPlain || !isSameHealth(a.health, b.health)) return false;
    const [one, other] = [this.#former, this.#cursor];
    one.start(a);
    other.start(b);
    if (one.addresses !== other.addresses || one.instances !== other.instances) return false;
    while (one.nextAddress() && other.nextAddress()) {
      const length = one.policyEnd - one.addressAt;
      if (other.policyEnd - other.addressAt !== length) return false;
      if (!isSamePart(one.bytes, one.addressAt, other.bytes, other.addressAt, length)) return false;
    }
    while (one.nextInstance() && other.nextInstance()) {
      if (other.weight === 0 || !other.isSamePlace(one.bytes, one.instanceAt)) return false;
    }
    return true;
  }

  /** In the same order, called or of a namespace in both. */
  #hasSameAddresses(a: PackedService, b: PackedService): boolean {
    const [one, other] = [this.#former, this.#cursor];
    one.start(a);
    other.start(b);
    if (one.addresses !== other.addresses || one.instances !== other.instances) return false;
    while (one.nextAddress() && other.nextAddress()) {
      if (!isSamePart(one.bytes, one.addressAt, other.bytes, other.addressAt, ADDRESS_SIZE)) return false;
    }
    while (one.nextInstance() && other.nextInstance()) {
      if (one.namespaces !== other.namespaces || one.own !== other.own) return false;
      const length = (one.namespaces + one.own) * ADDRESS_SIZE;
      if (!isSamePart(one.bytes, one.namespacesAt, other.bytes, other.namespacesAt, length)) return false;
    }
    return true;
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
  return a === b || (a !== undefined && a.bytes === b.bytes && isSameHealth(a.health, b.health));
}

/** Whether one of some addresses, one after the other, is this one. */
function hasAddress(bytes: string, at: number, count: number, packed: string): boolean {
  for (let i = 0; i < count; i++) if (isSamePart(bytes, at + i * ADDRESS_SIZE, packed, 0, ADDRESS_SIZE)) return true;
  return false;
}
