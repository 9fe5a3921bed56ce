// The rules that tables keep as a whole: who may have which address, and that every name leads somewhere.
// Fields are named as in the config file. The cost is that of the services given; the rest is asked from an index.

import { type FieldPath, type Issue, LINES_MAX, meantText, nameList, shortText } from "../../base/issues.ts";
import { isName, NAME_RULE } from "../../model/names.ts";
import { BUILT_IN_POLICIES } from "../../model/policy-names.ts";
import type { Instance, Node, Service, ServiceHealth, Tables } from "../../model/tables.ts";
import { ADDRESS_SIZE, contains, type Family, familyOf, type Prefix, unusableRange } from "../../net/address.ts";
import * as Bulk from "../../net/bulk-address.ts";
import { type OwnEndpoint, peerProblem } from "./underlay-rules.ts";

export interface TableRules {
  /** Id of the own node. */
  readonly nodeId: string;
  /** Service and instance addresses lie within these, namespace and underlay addresses outside. */
  readonly ranges: readonly Prefix[];
  readonly policies?: readonly string[] | undefined; // BUILT_IN_POLICIES unless given
  /** Where this node is on the underlay; without it, the other nodes are not compared with it. */
  readonly own?: OwnEndpoint | undefined;
  /** Whether the other nodes are reached through WireGuard, by their keys. */
  readonly isEncrypted?: boolean | undefined;
}

/** What services that are not checked have. */
export interface Taken {
  /** Name of the service that has a service or instance address. */
  addressOwner(address: string): string | undefined;
  /** Name of the service that has an instance with a namespace address. */
  namespaceOwner(address: string): string | undefined;
}

/** A service to be checked and where it is in the document. */
export interface ServiceAtPath {
  readonly service: Service;
  readonly path: FieldPath;
}

const NOTHING_TAKEN: Taken = { addressOwner: () => undefined, namespaceOwner: () => undefined };
const FAMILIES = [4, 6] as const;
const HEALTH_KINDS = ["tcp", "http", "icmp"] as const;
const WEIGHT_MAX = 65_535;
const PORT_MAX = 65_535;
const NUMBER_MAX = 0xffff_ffff;

/** Every rule that the tables break. */
export function validateTables(tables: Tables, rules: TableRules): Issue[] {
  const placed = tables.services.map((service, i) => ({ service, path: ["services", i] }));
  return [
    ...duplicateNames(tables),
    ...nodeIssues(tables.nodes, rules),
    ...serviceIssues(placed, new Set([rules.nodeId, ...tables.nodes.map(({ id }) => id)]), rules, NOTHING_TAKEN),
  ];
}

/** Whole tables and the rules that they were found to keep, by rulesKey(). */
const CHECKED = new WeakMap<Tables, string>();

/** Notes that tables keep the rules with this key, so that it need not be found out again. */
export function markChecked(tables: Tables, key: string): void {
  CHECKED.set(tables, key);
}

/** Undefined when nobody has noted it. */
export function checkedBy(tables: Tables): string | undefined {
  return CHECKED.get(tables);
}

/** The same text for the same rules. */
export function rulesKey({
  nodeId,
  ranges,
  policies = BUILT_IN_POLICIES,
  own,
  isEncrypted = false,
}: TableRules): string {
  const endpoint = own && [own.address, own.port, own.bind];
  return JSON.stringify([nodeId, ranges.map(({ text }) => text), [...new Set(policies)].sort(), endpoint, isEncrypted]);
}

/** Names that appear twice. */
export function duplicateNames({ services }: Pick<Tables, "services">): Issue[] {
  if (new Set(services.map(({ name }) => name)).size === services.length) return []; // of very many, in one short turn
  const firstAt = new Map<string, number>();
  return services.flatMap(({ name }, i) => {
    const first = firstAt.get(name);
    if (first === undefined) firstAt.set(name, i);
    return first === undefined
      ? []
      : [issue(["services", i, "name"], `a name other than that of services[${first}]`, name)];
  });
}

export function nodeIssues(nodes: readonly Node[], { nodeId, ranges, own, isEncrypted = false }: TableRules): Issue[] {
  const issues: Issue[] = [];
  const ids = new Set([nodeId]);
  const endpoints = new Map<string, string>();
  const bytes = new Uint8Array(ADDRESS_SIZE);
  nodes.forEach(({ id, underlay }, i) => {
    const path = ["nodes", i];
    if (!isName(id)) issues.push(issue([...path, "id"], NAME_RULE, id));
    if (id === nodeId) issues.push(issue([...path, "id"], "another node than this one", id));
    else if (ids.has(id)) issues.push(issue([...path, "id"], "an id that no other node has", id));
    ids.add(id);
    if (!isWhole(underlay.port, 1, PORT_MAX)) {
      issues.push(issue([...path, "underlay", "port"], `a port from 1 to ${PORT_MAX}`, underlay.port));
    }
    const addressPath = [...path, "underlay", "address"];
    const { address } = underlay;
    const problem = addressProblem(address, bytes);
    if (problem !== undefined) issues.push({ path: addressPath, message: problem });
    else if (isWithin(ranges, bytes)) {
      issues.push(issue(addressPath, `an address outside the ranges ${rangeList(ranges)}`, address));
    } else {
      const beside = own === undefined ? undefined : peerProblem(underlay, own);
      if (beside !== undefined) issues.push({ path: addressPath, message: beside });
    }
    const endpoint = `${address} ${underlay.port}`;
    const other = endpoints.get(endpoint);
    if (other !== undefined)
      issues.push(issue(addressPath, `another address and port than those of ${other}`, address));
    endpoints.set(endpoint, id);
  });
  return [...issues, ...senderIssues(nodes, ranges), ...keyIssues(nodes, isEncrypted)];
}

/** Each address and port that datagrams come from is that of one node. */
function senderIssues(nodes: readonly Node[], ranges: readonly Prefix[]): Issue[] {
  const issues: Issue[] = [];
  const bytes = new Uint8Array(ADDRESS_SIZE);
  const owners = new Map<string, Node[]>(); // by address
  nodes.forEach((node, i) => {
    const addresses = node.accept?.addresses ?? [];
    addresses.forEach((address, j) => {
      const path = ["nodes", i, "accept", "addresses", j];
      const problem = addressProblem(address, bytes);
      if (problem !== undefined) issues.push({ path, message: problem });
      else if (isWithin(ranges, bytes)) {
        issues.push(issue(path, `an address outside the ranges ${rangeList(ranges)}`, address));
      }
    });
    [node.underlay.address, ...addresses].forEach((address, j) => {
      const others = owners.get(address) ?? [];
      const other = others.find((one) => sharesPort(one, node));
      const path = j === 0 ? ["nodes", i, "accept", "anyPort"] : ["nodes", i, "accept", "addresses", j - 1];
      // Two nodes with one endpoint are told of already.
      if (other !== undefined && (j > 0 || node.accept?.anyPort || other.accept?.anyPort)) {
        issues.push(issue(path, `datagrams that cannot be those of ${other.id} as well`, address));
      }
      owners.set(address, [...others, node]);
    });
  });
  return issues;
}

function sharesPort(a: Node, b: Node): boolean {
  return a.accept?.anyPort === true || b.accept?.anyPort === true || a.underlay.port === b.underlay.port;
}

/** Without encryption keys are no more than noted, so that they can be handed out before it is switched on. */
function keyIssues(nodes: readonly Node[], isEncrypted: boolean): Issue[] {
  const issues: Issue[] = [];
  const owners = new Map<string, string>();
  nodes.forEach(({ id, underlay, publicKey, nextPublicKey }, i) => {
    const path = ["nodes", i];
    for (const [field, key] of Object.entries({ publicKey, nextPublicKey })) {
      if (key === undefined) continue;
      const owner = owners.get(key);
      if (owner !== undefined) issues.push(issue([...path, field], `another key than that of ${owner}`, key));
      owners.set(key, id);
    }
    const isClear = underlay.encryption === "none";
    if (isClear && publicKey !== undefined) {
      issues.push(issue([...path, "publicKey"], "no key beside encryption none", publicKey));
    }
    if (publicKey === undefined && nextPublicKey !== undefined) {
      issues.push(issue([...path, "nextPublicKey"], "no next key without publicKey", nextPublicKey));
    }
    if (isEncrypted && !isClear && publicKey === undefined) {
      const expected = 'a publicKey, or "underlay.encryption: none" to reach the node in clear';
      issues.push(issue(path, expected, "neither"));
    }
  });
  return issues;
}

/** Every rule that the services break, among each other and with what is taken. */
export function serviceIssues(
  services: readonly ServiceAtPath[],
  nodeIds: ReadonlySet<string>,
  rules: TableRules,
  taken: Taken,
): Issue[] {
  const check = new ServiceCheck(nodeIds, rules, taken);
  for (const { service, path } of services) check.service(service, path);
  return check.issues;
}

/** None, or that the name is not among the known ones. */
export function policyIssue(path: FieldPath, policy: string, known: readonly string[]): Issue[] {
  return known.includes(policy) ? [] : [issue(path, `one of ${nameList(known)}`, policy, known)];
}

type PathOf = () => FieldPath;

/** Keeps the rules for one service after the other. */
export class ServiceCheck {
  readonly issues: Issue[] = [];
  readonly #nodeIds: ReadonlySet<string>;
  readonly #rules: TableRules;
  readonly #taken: Taken;
  /** Addresses of the services checked so far, and who has them. */
  readonly #addresses = new Map<string, string>();
  readonly #namespaces = new Map<string, string>();
  readonly #bytes = new Uint8Array(ADDRESS_SIZE);

  constructor(nodeIds: ReadonlySet<string>, rules: TableRules, taken: Taken) {
    this.#nodeIds = nodeIds;
    this.#rules = rules;
    this.#taken = taken;
  }

  /** A path is made only of what is wrong: there are millions of fields. */
  service(service: Service, path: FieldPath): void {
    const { name, addresses, instances, health } = service;
    if (!isName(name)) this.#report([...path, "name"], NAME_RULE, name);
    if (health !== undefined) this.issues.push(...healthIssues(health, [...path, "health"]));
    const policies = this.#rules.policies ?? BUILT_IN_POLICIES;
    addresses.forEach(({ address, policy }, i) => {
      this.#serviceRangeAddress(() => [...path, "addresses", i, "address"], address, name);
      if (!policies.includes(policy))
        this.issues.push(...policyIssue([...path, "addresses", i, "policy"], policy, policies));
    });
    const numbers = new Set<number>();
    instances.forEach((instance, i) => {
      if (numbers.has(instance.number)) {
        this.#report([...path, "instances", i, "number"], "a number that no other instance has", instance.number);
      }
      numbers.add(instance.number);
      this.#instance(instance, () => [...path, "instances", i], name);
    });
  }

  #instance(instance: Instance, pathOf: PathOf, service: string): void {
    const { number, node, weight, namespaceAddresses, instanceAddresses } = instance;
    if (!isWhole(number, 0, NUMBER_MAX)) this.#report([...pathOf(), "number"], "a whole number, not negative", number);
    if (!isWhole(weight, 1, WEIGHT_MAX)) {
      this.#report([...pathOf(), "weight"], `a whole number from 1 to ${WEIGHT_MAX}`, weight);
    }
    if (!this.#nodeIds.has(node)) {
      this.#report([...pathOf(), "node"], "the id of this node or of one under nodes", node, this.#nodeIds);
    }
    if (namespaceAddresses.length === 0) {
      this.issues.push({ path: [...pathOf(), "namespace"], message: "expected at least one address, found none" });
    }
    if (namespaceAddresses.length > 1) this.#onePerFamily([...pathOf(), "namespace"], namespaceAddresses);
    if (instanceAddresses.length > 1) this.#onePerFamily([...pathOf(), "addresses"], instanceAddresses);
    namespaceAddresses.forEach((address, i) => {
      this.#namespaceAddress(() => [...pathOf(), "namespace", i], address, service);
    });
    instanceAddresses.forEach((address, i) => {
      this.#serviceRangeAddress(() => [...pathOf(), "addresses", i], address, service);
    });
    for (const family of FAMILIES) {
      // It is the source of all that the workload sends; without it no answer would leave.
      if (hasFamily(namespaceAddresses, family) && !hasFamily(instanceAddresses, family)) {
        const message = `expected an IPv${family} address beside the IPv${family} namespace address, found none`;
        this.issues.push({ path: [...pathOf(), "addresses"], message });
      }
    }
  }

  #serviceRangeAddress(pathOf: PathOf, address: string, owner: string): void {
    const { ranges } = this.#rules;
    if (!this.#checkAddress(pathOf, address)) return;
    if (!isWithin(ranges, this.#bytes)) this.#report(pathOf(), `an address within ${rangeList(ranges)}`, address);
    this.#claim(pathOf, address, owner, this.#addresses, this.#taken.addressOwner(address));
  }

  #namespaceAddress(pathOf: PathOf, address: string, owner: string): void {
    const { ranges } = this.#rules;
    if (!this.#checkAddress(pathOf, address)) return;
    if (isWithin(ranges, this.#bytes)) this.#report(pathOf(), `an address outside ${rangeList(ranges)}`, address);
    this.#claim(pathOf, address, owner, this.#namespaces, this.#taken.namespaceOwner(address));
  }

  /** Leaves the address in #bytes. */
  #checkAddress(pathOf: PathOf, address: string): boolean {
    const problem = addressProblem(address, this.#bytes);
    if (problem !== undefined) this.issues.push({ path: pathOf(), message: problem });
    return problem === undefined;
  }

  #claim(pathOf: PathOf, address: string, owner: string, seen: Map<string, string>, other: string | undefined): void {
    const holder = seen.get(address) ?? other;
    if (holder !== undefined) this.#report(pathOf(), `an address that is not in use (${holder} has it)`, address);
    seen.set(address, owner);
  }

  #onePerFamily(path: FieldPath, addresses: readonly string[]): void {
    const seen = new Set<Family>();
    addresses.forEach((address, i) => {
      const family = familyOf(address);
      if (seen.has(family)) this.#report([...path, i], `at most one IPv${family} address`, address);
      seen.add(family);
    });
  }

  /** `known` is what `found` may have been meant to be; it is looked through for as many issues as are shown. */
  #report(path: FieldPath, expected: string, found: string | number, known: Iterable<string> = []): void {
    this.issues.push(issue(path, expected, found, this.issues.length < LINES_MAX ? [...known] : []));
  }
}

function healthIssues(health: ServiceHealth, path: FieldPath): Issue[] {
  const { http, port, interval, timeout } = health;
  const kinds = HEALTH_KINDS.filter((kind) => health[kind] !== undefined);
  const issues: Issue[] = [];
  if (kinds.length !== 1) {
    issues.push(issue(path, `one of ${HEALTH_KINDS.join(", ")}`, kinds.length === 0 ? "none" : kinds.join(" and ")));
  }
  if (port !== undefined && http === undefined) {
    issues.push(issue([...path, "port"], "no port without http (tcp has its own)", port));
  }
  if (timeout > interval) {
    issues.push(issue([...path, "timeout"], `no more than the interval of ${interval}ms`, `${timeout}ms`));
  }
  return issues;
}

/** Expected and found, and what was probably meant. */
function issue(path: FieldPath, expected: string, found: string | number, known: readonly string[] = []): Issue {
  const hint = meantText(String(found), known);
  return { path, message: `expected ${expected}, found ${found === "" ? '""' : shortText(String(found))}${hint}` };
}

/** What is wrong with an address by itself; leaves its bytes in `into`. */
function addressProblem(address: string, into: Uint8Array): string | undefined {
  if (!Bulk.readAddress(address, into, 0)) return `expected an IPv4 or IPv6 address, found ${shortText(address)}`;
  const range = unusableRange(into);
  if (range !== undefined) return `expected an address of a host, found the ${range} address ${address}`;
  return Bulk.canonicalAddress(address) === address
    ? undefined
    : `expected an address in canonical form, found ${shortText(address)}`;
}

function isWithin(ranges: readonly Prefix[], bytes: Uint8Array): boolean {
  return ranges.some((range) => contains(range, bytes));
}

function rangeList(ranges: readonly Prefix[]): string {
  return ranges.map(({ text }) => text).join(", ");
}

function hasFamily(addresses: readonly string[], family: Family): boolean {
  return addresses.some((address) => familyOf(address) === family);
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
