// Services of a JSON text as the frames of service-frame.ts, read byte by byte without an object for each: many times as
// fast as parsing, the schema and the rules of tables one after the other, whose results these are. It knows services
// that are written plainly. Others are given to those who know everything, one by one. When something is wrong, the
// whole text is for them, as they alone know what to say and where.

import { ADDRESSES_AT, INSTANCES_AT, PLAIN } from "../../model/packed-service.ts";
import { INSTANCE_ADDRESS, policyName } from "../../model/policy-names.ts";
import { ADDRESS_SIZE, contains, isV4Mapped } from "../../net/address.ts";
import * as Bulk from "../../net/bulk-address.ts";
import { longestFirst, type PolicyBinding } from "../tables/policy-bindings.ts";
import type { TableRules } from "../tables/table-validation.ts";
import { FrameBuffer } from "./frame-buffer.ts";
import { JsonCursor, NotPlain } from "./json-cursor.ts";
import { KnownServices, type OwnCounts, originOf } from "./known-services.ts";
import { ServiceFrame, writeKept } from "./service-frame.ts";
import { ServiceRules } from "./service-rules.ts";
import type { ServicesText } from "./services-text.ts";
import { unusualService } from "./unusual-service.ts";

/** What services are read with. */
export interface ServiceContext {
  readonly bindings: readonly PolicyBinding[];
  /** Undefined: whether they keep them is found out elsewhere. */
  readonly rules: TableRules | undefined;
  /** Ids of the other nodes. */
  readonly nodeIds: readonly string[];
  /** Of the services in force, by originsOf(); undefined: nobody wants to know them again. */
  readonly origins?: string | undefined;
}

/** How many were read. */
export interface ServiceCounts extends OwnCounts {
  readonly services: number;
  readonly kept: number; // of these, in force as they are, and not looked at
}

/** At most one per family. */
const ADDRESSES_MAX = 2;
/** Characters of an instance that is written short. */
const INSTANCE_BYTES = 128;
const NUMBER_MAX = 0xffff_ffff;
const WEIGHT_MAX = 65_535;
const [NAME, ADDRESSES, INSTANCES, ADDRESS, POLICY] = keys("name", "addresses", "instances", "address", "policy");
/** In the order in which they are packed. */
const SERVICE_FIELDS = [NAME, ADDRESSES, INSTANCES];
const [NUMBER, NODE, NAMESPACE, WEIGHT, DRAINING] = keys("number", "node", "namespace", "weight", "draining");

function keys(...names: string[]): [Buffer, Buffer, Buffer, Buffer, Buffer] {
  return names.map((name) => Buffer.from(name)) as [Buffer, Buffer, Buffer, Buffer, Buffer];
}

/** Hands on frames as they are made. Throws NotPlain when something is wrong; some may be handed on by then. */
export function writeServices(
  text: ServicesText,
  context: ServiceContext,
  write: (frames: Uint8Array) => void,
): ServiceCounts {
  const services = new PlainServices(text, context, write);
  services.writeAll(text.to);
  return services.counts;
}

class PlainServices {
  readonly counts = { services: 0, kept: 0, addresses: 0, instances: 0, instanceAddresses: 0, workloads: 0 };
  readonly #cursor: JsonCursor;
  readonly #bindings: readonly PolicyBinding[];
  readonly #nodeId: string | undefined;
  readonly #rules: ServiceRules | undefined;
  readonly #known: KnownServices | undefined;
  readonly #out: FrameBuffer;
  readonly #frame: ServiceFrame;
  readonly #address = new Uint8Array(ADDRESS_SIZE);
  readonly #namespace = new Uint8Array(ADDRESSES_MAX * ADDRESS_SIZE);
  readonly #own = new Uint8Array(ADDRESSES_MAX * ADDRESS_SIZE);
  readonly #numbers = new Set<number>();
  readonly #readServiceAddress = (): boolean => this.#serviceAddress();
  readonly #readInstance = (): boolean => this.#instance();
  /** Of the service that is read: its name, and where its bytes begin. */
  #name = "";
  #packedFrom = 0;
  /** Where the id of the node is that was looked up last. */
  #nodeFrom = 0;
  #nodeTo = 0;
  #isOwnNode = false;

  constructor({ bytes, from, to }: ServicesText, context: ServiceContext, write: (frames: Uint8Array) => void) {
    const { bindings, rules, nodeIds, origins } = context;
    this.#known = origins === undefined ? undefined : new KnownServices(origins, bindings, rules);
    this.#cursor = new JsonCursor(bytes, from);
    this.#bindings = longestFirst(bindings);
    this.#nodeId = rules?.nodeId;
    this.#rules = rules && new ServiceRules(rules, nodeIds, (to - from) / INSTANCE_BYTES);
    this.#out = new FrameBuffer(write);
    this.#frame = new ServiceFrame(this.#out);
  }

  writeAll(to: number): void {
    const cursor = this.#cursor;
    const known = this.#known;
    const digests = known === undefined || known.isEmpty ? undefined : this.#digests(known);
    for (let isFirst = true; cursor.hasItem(isFirst); isFirst = false) {
      const from = cursor.at;
      const before = { ...this.counts };
      const found = digests?.of[before.services];
      if (digests?.areSome && found !== undefined && this.#keep(found)) continue;
      this.#rules?.begin();
      this.#frame.begin();
      if (!this.#service()) {
        Object.assign(this.counts, before);
        this.#frame.begin();
        cursor.at = from;
        cursor.skipValue();
        this.#unusual(cursor.bytes.subarray(from, cursor.at));
      }
      const digest = found ?? known?.digestOf(cursor.bytes.subarray(from, cursor.at));
      this.#frame.finish(digest === undefined ? "" : originOf(digest, difference(this.counts, before)));
      this.counts.services += 1;
    }
    if (cursor.at !== to + 1) throw new NotPlain();
    this.#out.flush();
  }

  /** Of all services in their order, and whether those that are known are to be left out. */
  #digests(known: KnownServices): { readonly of: readonly string[]; readonly areSome: boolean } {
    const cursor = this.#cursor;
    const start = cursor.at;
    const digests: string[] = [];
    let found = 0;
    for (let isFirst = true; cursor.hasItem(isFirst); isFirst = false) {
      const from = cursor.at;
      cursor.skipValue();
      const digest = known.digestOf(cursor.bytes.subarray(from, cursor.at));
      digests.push(digest);
      if (known.find(digest) !== undefined) found += 1;
    }
    cursor.at = start;
    // Whoever takes the frames checks what is left; where it is much, it is better checked here.
    return { of: digests, areSome: found * 2 > digests.length };
  }

  /** Leaves out the service at the cursor if it is known. */
  #keep(digest: string): boolean {
    const known = this.#known?.find(digest);
    if (known === undefined) return false;
    this.#cursor.skipValue();
    writeKept(this.#out, known.index);
    this.counts.services += 1;
    this.counts.kept += 1;
    this.counts.addresses += known.counts.addresses;
    this.counts.instances += known.counts.instances;
    this.counts.instanceAddresses += known.counts.instanceAddresses;
    this.counts.workloads += known.counts.workloads;
    return true;
  }

  #unusual(bytes: Uint8Array): void {
    const service = unusualService(bytes, this.#bindings);
    if (this.#rules?.takeWhole(service) === false) throw new NotPlain();
    this.#frame.whole(service);
    this.counts.addresses += service.addresses.length;
    this.counts.instances += service.instances.length;
    for (const { node, namespaceAddresses, instanceAddresses } of service.instances) {
      this.counts.instanceAddresses += instanceAddresses.length;
      if (node === this.#nodeId) this.counts.workloads += namespaceAddresses.length;
    }
  }

  /**
   * False when it is not plain; then the cursor is anywhere. Fields are read as they come, in the order in which they
   * are packed; one that comes before its turn is passed over and read later.
   */
  #service(): boolean {
    const cursor = this.#cursor;
    const at = [0, 0, 0]; // of each field
    let turn = 0;
    if (!cursor.openFields()) return false;
    for (let isFirst = true; cursor.hasField(isFirst); isFirst = false) {
      const field = SERVICE_FIELDS.findIndex((name) => cursor.isText(name));
      if (at[field] !== 0) return false; // unknown, or there twice
      at[field] = cursor.at;
      if (field !== turn) cursor.skipValue();
      else if (!this.#field(turn++, cursor.at)) return false;
    }
    const end = cursor.at;
    for (; turn < SERVICE_FIELDS.length; turn++) if (!this.#field(turn, at[turn] ?? 0)) return false;
    if (this.#rules?.take(this.#name) === false) throw new NotPlain();
    cursor.at = end;
    return true;
  }

  /** Reads a field of SERVICE_FIELDS, which is at `at`; 0 = it is missing. */
  #field(field: number, at: number): boolean {
    this.#cursor.at = at;
    if (field === 0) return this.#head();
    if (field === 1) return this.#list(at, this.#packedFrom + ADDRESSES_AT, this.#readServiceAddress);
    this.#numbers.clear();
    return this.#list(at, this.#packedFrom + INSTANCES_AT, this.#readInstance);
  }

  #head(): boolean {
    const cursor = this.#cursor;
    const out = this.#out;
    if (!cursor.readText()) return false;
    this.#name = cursor.text();
    // As JSON it is what stands in the text, with its quotes.
    this.#frame.head(() => out.part(cursor.bytes, cursor.textFrom - 1, cursor.textTo + 1), "");
    this.#packedFrom = out.end;
    out.u8(PLAIN);
    out.u32(0);
    out.u32(0);
    return true;
  }

  /** `at` is 0 where the list is missing; `countAt` is where its length is written. */
  #list(at: number, countAt: number, readItem: () => boolean): boolean {
    const cursor = this.#cursor;
    if (at === 0) return true;
    if (!cursor.openList()) return false;
    let count = 0;
    for (; cursor.hasItem(count === 0); count++) if (!readItem()) return false;
    this.#out.putU32(countAt, count);
    return true;
  }

  #serviceAddress(): boolean {
    const cursor = this.#cursor;
    const out = this.#out;
    let isFound = false;
    let policy: string | undefined;
    if (!cursor.openFields()) return false;
    for (let isFirst = true; cursor.hasField(isFirst); isFirst = false) {
      if (!isFound && cursor.isText(ADDRESS)) {
        isFound = true;
        if (!this.#readAddress(this.#address, 0)) return false;
      } else if (policy === undefined && cursor.isText(POLICY)) {
        if (!cursor.readText()) return false;
        policy = policyName(cursor.text());
      } else return false;
    }
    policy ??= this.#bindings.find(({ prefix }) => contains(prefix, this.#address))?.policy;
    if (!isFound || policy === undefined || policy === INSTANCE_ADDRESS) return false;
    if (this.#rules?.isPolicy(policy) === false) throw new NotPlain();
    if (this.#rules?.isCalled(this.#address, 0) === false) throw new NotPlain();
    out.address(this.#address, 0);
    out.sizedText(policy);
    this.counts.addresses += 1;
    return true;
  }

  #instance(): boolean {
    const cursor = this.#cursor;
    let [number, weight] = [-1, -1];
    let draining: boolean | undefined;
    let [nodeFrom, nodeTo] = [0, 0];
    let [namespaces, own] = [-1, -1]; // how many
    if (!cursor.openFields()) return false;
    for (let isFirst = true; cursor.hasField(isFirst); isFirst = false) {
      if (number < 0 && cursor.isText(NUMBER)) {
        number = cursor.readWhole(NUMBER_MAX);
        if (number < 0) return false;
      } else if (nodeTo === 0 && cursor.isText(NODE)) {
        if (!cursor.readText()) return false;
        nodeFrom = cursor.textFrom;
        nodeTo = cursor.textTo;
      } else if (namespaces < 0 && cursor.isText(NAMESPACE)) {
        namespaces = this.#addressList(this.#namespace);
        if (namespaces < 0) return false;
      } else if (own < 0 && cursor.isText(ADDRESSES)) {
        own = this.#addressList(this.#own);
        if (own < 0) return false;
      } else if (weight < 0 && cursor.isText(WEIGHT)) {
        weight = cursor.readWhole(WEIGHT_MAX);
        if (weight < 1) return false;
      } else if (draining === undefined && cursor.isText(DRAINING)) {
        draining = cursor.readFlag();
        if (draining === undefined) return false;
      } else return false;
    }
    if (number < 0 || nodeTo === 0 || namespaces < 0) return false;
    own = Math.max(0, own);
    if (this.#rules !== undefined && !this.#keepsRules(this.#rules, number, nodeFrom, nodeTo, namespaces, own)) {
      throw new NotPlain();
    }
    const out = this.#out;
    out.u16(weight < 0 ? 1 : weight);
    out.u8(draining ? 1 : 0);
    out.u32(number);
    out.u8(namespaces);
    out.u8(own);
    out.u16(nodeTo - nodeFrom);
    out.part(cursor.bytes, nodeFrom, nodeTo);
    for (let i = 0; i < namespaces; i++) out.address(this.#namespace, i * ADDRESS_SIZE);
    for (let i = 0; i < own; i++) out.address(this.#own, i * ADDRESS_SIZE);
    this.counts.instances += 1;
    this.counts.instanceAddresses += own;
    return true;
  }

  /** Of the instance whose addresses were read last; also counts those of workloads. */
  #keepsRules(rules: ServiceRules, number: number, nodeFrom: number, nodeTo: number, namespaces: number, own: number) {
    const before = this.#numbers.size;
    if (this.#numbers.add(number).size === before || namespaces === 0) return false;
    if (!this.#isNodeAsBefore(nodeFrom, nodeTo)) {
      const id = this.#cursor.bytes.toString("latin1", nodeFrom, nodeTo);
      if (!rules.isNode(id)) return false;
      this.#nodeFrom = nodeFrom;
      this.#nodeTo = nodeTo;
      this.#isOwnNode = id === this.#nodeId;
    }
    if (this.#isOwnNode) this.counts.workloads += namespaces;
    const [namespaceFamilies, ownFamilies] = [familiesOf(this.#namespace, namespaces), familiesOf(this.#own, own)];
    if (namespaceFamilies < 0 || ownFamilies < 0 || (namespaceFamilies & ~ownFamilies) !== 0) return false;
    for (let i = 0; i < namespaces; i++) if (!rules.isNamespace(this.#namespace, i * ADDRESS_SIZE)) return false;
    for (let i = 0; i < own; i++) if (!rules.isCalled(this.#own, i * ADDRESS_SIZE)) return false;
    return true;
  }

  #isNodeAsBefore(from: number, to: number): boolean {
    const { bytes } = this.#cursor;
    if (to - from !== this.#nodeTo - this.#nodeFrom) return false;
    for (let i = 0; i < to - from; i++) if (bytes[from + i] !== bytes[this.#nodeFrom + i]) return false;
    return true;
  }

  /** How many there are; -1 when they are not plain. */
  #addressList(into: Uint8Array): number {
    const cursor = this.#cursor;
    let count = 0;
    if (!cursor.openList()) return -1;
    for (; cursor.hasItem(count === 0); count++) {
      if (count === ADDRESSES_MAX || !this.#readAddress(into, count * ADDRESS_SIZE)) return -1;
    }
    return count;
  }

  #readAddress(into: Uint8Array, at: number): boolean {
    const cursor = this.#cursor;
    if (!cursor.readText()) return false;
    return Bulk.readAddressText(cursor.bytes, cursor.textFrom, cursor.textTo, into, at);
  }
}

/** What came since. */
function difference(now: OwnCounts, before: OwnCounts): OwnCounts {
  return {
    addresses: now.addresses - before.addresses,
    instances: now.instances - before.instances,
    instanceAddresses: now.instanceAddresses - before.instanceAddresses,
    workloads: now.workloads - before.workloads,
  };
}

/** A bit for each family; -1 when two are of the same. */
function familiesOf(bytes: Uint8Array, count: number): number {
  let families = 0;
  for (let i = 0; i < count; i++) {
    const family = isV4Mapped(bytes, i * ADDRESS_SIZE) ? 1 : 2;
    if ((families & family) !== 0) return -1;
    families |= family;
  }
  return families;
}
