// The rules of table-validation.ts for services that are read as bytes: says whether they are kept, not what is wrong.

import { BUILT_IN_POLICIES } from "../../model/policy-names.ts";
import type { Service } from "../../model/tables.ts";
import { ADDRESS_SIZE, contains, type Prefix, unusableRange } from "../../net/address.ts";
import * as Bulk from "../../net/bulk-address.ts";
import { serviceIssues, type TableRules } from "../tables/table-validation.ts";
import { AddressSet } from "./address-set.ts";

const NOTHING_TAKEN = { addressOwner: () => undefined, namespaceOwner: () => undefined };

export class ServiceRules {
  readonly #rules: TableRules;
  readonly #policies: ReadonlySet<string>;
  readonly #nodeIds: ReadonlySet<string>;
  readonly #names = new Set<string>();
  readonly #called: Claims;
  readonly #namespaces: Claims;
  readonly #bytes = new Uint8Array(ADDRESS_SIZE);

  /** `nodeIds` are those of the other nodes, `instances` a guess. */
  constructor(rules: TableRules, nodeIds: readonly string[], instances: number) {
    this.#called = new Claims(instances);
    this.#namespaces = new Claims(instances);
    this.#rules = rules;
    this.#policies = new Set(rules.policies ?? BUILT_IN_POLICIES);
    this.#nodeIds = new Set([rules.nodeId, ...nodeIds]);
  }

  /** What the service before had that was not taken is nobody's. */
  begin(): void {
    this.#called.clear();
    this.#namespaces.clear();
  }

  isPolicy(name: string): boolean {
    return this.#policies.has(name);
  }

  isNode(id: string): boolean {
    return this.#nodeIds.has(id);
  }

  /** Notes the address of a service or an instance; false when it can be none. */
  isCalled(bytes: Uint8Array, at: number): boolean {
    this.#called.note(bytes, at);
    return isUsable(bytes, at) && this.#isWithinRanges(bytes, at);
  }

  /** Likewise of a namespace. */
  isNamespace(bytes: Uint8Array, at: number): boolean {
    this.#namespaces.note(bytes, at);
    return isUsable(bytes, at) && !this.#isWithinRanges(bytes, at);
  }

  /** Whether no other service has the name or one of the addresses that were noted; now this one has them. */
  take(name: string): boolean {
    const before = this.#names.size;
    return this.#names.add(name).size > before && this.#called.take() && this.#namespaces.take();
  }

  /** All that the others do, for a service of any kind. */
  takeWhole(service: Service): boolean {
    const { name, addresses, instances } = service;
    const placed = [{ service, path: [] }];
    if (serviceIssues(placed, this.#nodeIds, this.#rules, NOTHING_TAKEN).length > 0) return false;
    this.begin();
    for (const { address } of addresses) this.#note(this.#called, address);
    for (const { namespaceAddresses, instanceAddresses } of instances) {
      for (const address of instanceAddresses) this.#note(this.#called, address);
      for (const address of namespaceAddresses) this.#note(this.#namespaces, address);
    }
    return this.take(name);
  }

  #note(claims: Claims, address: string): void {
    Bulk.readAddress(address, this.#bytes, 0); // checked before
    claims.note(this.#bytes, 0);
  }

  #isWithinRanges(bytes: Uint8Array, at: number): boolean {
    const { ranges } = this.#rules;
    for (let i = 0; i < ranges.length; i++) if (contains(ranges[i] as Prefix, bytes, at)) return true;
    return false;
  }
}

/** Addresses of one service, and those of all before. */
class Claims {
  readonly #taken: AddressSet;
  #bytes = new Uint8Array(64 * ADDRESS_SIZE);
  #words = new Uint32Array(this.#bytes.buffer);
  #end = 0;

  constructor(expected: number) {
    this.#taken = new AddressSet(expected);
  }

  clear(): void {
    this.#end = 0;
  }

  note(bytes: Uint8Array, at: number): void {
    if (this.#end === this.#bytes.length) this.#grow();
    for (let i = 0; i < ADDRESS_SIZE; i++) this.#bytes[this.#end + i] = bytes[at + i] ?? 0;
    this.#end += ADDRESS_SIZE;
  }

  /** False when one of them was taken before. */
  take(): boolean {
    for (let at = 0; at < this.#end; at += ADDRESS_SIZE) if (!this.#taken.add(this.#words, at >>> 2)) return false;
    return true;
  }

  #grow(): void {
    const before = this.#bytes;
    this.#bytes = new Uint8Array(2 * before.length);
    this.#bytes.set(before);
    this.#words = new Uint32Array(this.#bytes.buffer);
  }
}

/** Nearly all addresses can be told by their first byte. */
function isUsable(bytes: Uint8Array, at: number): boolean {
  const first = bytes[at] ?? 0;
  return (first > 0 && first < 0xfe) || unusableRange(bytes.subarray(at, at + ADDRESS_SIZE)) === undefined;
}
