// A node's config file: YAML, checked completely before anything happens.

import { createHash } from "node:crypto";
import { join } from "node:path";
import type * as z from "zod";
import type { FieldPath, Issue } from "../../base/issues.ts";
import { BUILT_IN_POLICIES } from "../../model/policy-names.ts";
import type { Encryption, Service, Tables, TablesPatch } from "../../model/tables.ts";
import { contains, type Prefix } from "../../net/address.ts";
import { isLoopback } from "../../net/listener.ts";
import { TUNNEL_PREFIX } from "../../net/wireguard-key.ts";
import { readTextFile } from "../../sys/user-file.ts";
import type { WireguardBackend } from "../../sys/wireguard.ts";
import { emptyingIssues, sizesOf, type TableSizes } from "../tables/emptying.ts";
import { bindPolicies, DEFAULT_BINDINGS, type PolicyBinding, withDefaultBindings } from "../tables/policy-bindings.ts";
import { markChecked, policyIssue, rulesKey, type TableRules, validateTables } from "../tables/table-validation.ts";
import { ownUnderlayIssues } from "../tables/underlay-rules.ts";
import { ConfigDocument } from "./config-document.ts";
import {
  configSchema,
  INTERFACE_NAME_BYTES_MAX,
  stateSchema,
  tablesPatchSchema,
  tablesSchema,
} from "./config-schema.ts";
import type { ServiceCounts } from "./plain-services.ts";
import type { PolicyFiles } from "./policy-file-check.ts";

/** Holds a directory per node: two proxies on one machine, or with one file system, are two nodes. */
const STATE_FOLDER = "/var/lib/sapwood";
/** NAME_MAX (linux/limits.h). */
const FILE_NAME_MAX = 255;

type ConfigFile = z.output<typeof configSchema>;

/** The file's content with all defaults. Sections have the file's names, but for `capacities`: the file's `tables`. */
export interface Config
  extends Omit<ConfigFile, "node" | "tables" | "nodes" | "services" | "bindings" | "state" | "allowEmpty"> {
  readonly state: { readonly directory: string };
  readonly bindings: readonly PolicyBinding[]; // the default ones included
  readonly node: Omit<ConfigFile["node"], "underlay"> & { readonly underlay: OwnUnderlay };
  readonly capacities: ConfigFile["tables"];
  readonly tables: Tables;
}

export interface OwnUnderlay {
  readonly address: string; // where the other nodes send to
  readonly port: number;
  readonly bind: string; // the socket's own address
  readonly encryption: Encryption;
  readonly wireguardPort: number; // UDP, where the other nodes' WireGuard sends to
  readonly wireguardDevice: string;
  readonly wireguardBackend: WireguardBackend | "auto";
}

export interface ConfigOptions {
  /** Names that services may use beside those under `policies`; those of the package unless given. */
  readonly policies?: ((stateDirectory: string) => readonly string[]) | undefined;
  /** The tables of the running proxy; none before it runs. */
  readonly inForce?: (() => Tables) | undefined;
  /** How many they have; counted unless given. */
  readonly sizesInForce?: TableSizes | undefined;
  /** Of services in force that need not be read again, by originsOf(). */
  readonly origins?: string | undefined;
  /** What is wrong with files that the configuration names; nothing unless given. */
  readonly fileIssues?: ((config: PolicyFiles) => readonly Issue[]) | undefined;
}

export interface ParseTablesOptions {
  /** Prefixes whose addresses need not name a policy; the default ones unless given. */
  readonly bindings?: readonly PolicyBinding[] | undefined;
  /** Without rules only the shape is checked: the table store keeps the rules in any case, but knows no lines. */
  readonly rules?: TableRules | undefined;
  /** None unless given. */
  readonly inForce?: Tables | undefined;
  /** How many they have; counted unless given. */
  readonly sizesInForce?: TableSizes | undefined;
  /** As if the text itself had the field. */
  readonly allowEmpty?: boolean | undefined;
}

const NO_TABLES: Tables = { nodes: [], services: [] };

/** Reads and checks a config file. Throws config-unreadable or config-invalid. */
export function loadConfig(path: string, options: ConfigOptions = {}): Config {
  return parseConfig(readTextFile(path), path, options);
}

/** The state directory alone: a node needs its key before its file can name those of the others. */
export function loadStateDirectory(path: string): string {
  return stateDirectoryOf(new ConfigDocument(readTextFile(path), path));
}

/** The same of a text that was read already. */
export function stateDirectoryOf(document: ConfigDocument): string {
  const { state, node } = document.parse(stateSchema);
  return state.directory ?? stateDirectory(node.id);
}

/** `fileName` is what errors call the text. */
export function parseConfig(text: string, fileName: string, options: ConfigOptions = {}): Config {
  return configOf(new ConfigDocument(text, fileName), options);
}

/** The same of a text that was read already. */
export function configOf(document: ConfigDocument, options: ConfigOptions = {}): Config {
  const {
    node,
    tables: capacities,
    nodes,
    services: written,
    bindings: ownBindings,
    state: { directory },
    allowEmpty,
    ...rest
  } = document.parse(configSchema);
  const state = { directory: directory ?? stateDirectory(node.id) };
  const known = options.policies?.(state.directory) ?? BUILT_IN_POLICIES;
  const policies = [...new Set([...known, ...Object.keys(rest.policies)])];
  const bindings = withDefaultBindings(ownBindings);
  const inForce = options.inForce?.() ?? NO_TABLES;
  const own = ownUnderlay(node.underlay, rest.tun.name);
  const rules: TableRules = {
    ...{ nodeId: node.id, ranges: rest.ranges, policies, own },
    isEncrypted: node.underlay.encryption === "wireguard",
  };
  const {
    tables,
    counts,
    issues: wrong,
  } = readTables(document, { nodes, services: written }, inForce, bindings, rules, options.origins);
  const issues = [
    ...(allowEmpty ? [] : absenceIssues(document, counts, options.sizesInForce ?? sizesOf(inForce))),
    ...ownUnderlayIssues(node.underlay, rest.ranges),
    ...encryptionIssues(node, rest.ranges),
    ...observeIssues(rest.observe),
    ...bindingIssues(ownBindings, rest.ranges, policies),
    ...wrong,
    ...capacityIssues(counts, capacities),
    ...(options.fileIssues?.(rest) ?? []),
  ];
  if (issues.length > 0) throw document.refusal(issues);
  if (isWhole(document) && counts.kept === 0) markChecked(tables, rulesKey(rules));
  return { ...rest, state, bindings, node: { ...node, underlay: own }, capacities, tables };
}

/** A folder for a node's id, which may have any printable characters. */
function stateDirectory(nodeId: string): string {
  const name = encodeURIComponent(nodeId).replace(/^\./, "%2E");
  const isFileName = name.length <= FILE_NAME_MAX;
  return join(STATE_FOLDER, isFileName ? name : createHash("sha256").update(nodeId).digest("hex"));
}

/** Nodes and services alone, as `sapwood apply` sends them; JSON is YAML, too. */
export function parseTables(text: string, fileName: string, options?: ParseTablesOptions): Tables {
  return tablesOfDocument(new ConfigDocument(text, fileName), options);
}

/** The same of a text that was read already. */
export function tablesOfDocument(
  document: ConfigDocument,
  {
    bindings = DEFAULT_BINDINGS,
    rules,
    inForce = NO_TABLES,
    sizesInForce,
    allowEmpty = false,
  }: ParseTablesOptions = {},
): Tables {
  requireNoRemoval(document);
  const { nodes, services: written, allowEmpty: isSaid } = document.parse(tablesSchema);
  const {
    tables,
    counts,
    issues: wrong,
  } = readTables(document, { nodes, services: written }, inForce, bindings, rules);
  const issues = [
    ...(allowEmpty || isSaid ? [] : absenceIssues(document, counts, sizesInForce ?? sizesOf(inForce))),
    ...wrong,
  ];
  if (issues.length > 0) throw document.refusal(issues);
  if (rules !== undefined && isWhole(document)) markChecked(tables, rulesKey(rules));
  return tables;
}

/** What `sapwood apply --merge` sends. Only its shape is checked: the rest depends on the tables in force. */
export function parseTablesPatch(
  text: string,
  fileName: string,
  options?: Pick<ParseTablesOptions, "bindings" | "allowEmpty">,
): TablesPatch {
  return parseTablesPatchOf(new ConfigDocument(text, fileName), options);
}

/** The same of a text that was read already. */
export function parseTablesPatchOf(
  document: ConfigDocument,
  { bindings = DEFAULT_BINDINGS, allowEmpty = false }: Pick<ParseTablesOptions, "bindings" | "allowEmpty"> = {},
): TablesPatch {
  const { services: written, allowEmpty: isSaid, ...rest } = document.parse(tablesPatchSchema);
  const nothing = { nodes: [], services: written };
  const { tables, issues } = readTables(document, nothing, NO_TABLES, bindings, undefined);
  if (issues.length > 0) throw document.refusal(issues);
  return { ...rest, services: tables.services, keepsSome: !(allowEmpty || isSaid) };
}

/** What is to be removed belongs to a merge; everything else that a file for it has means something else without it. */
export function requireNoRemoval(document: ConfigDocument): void {
  if (!document.has("remove")) return;
  throw document.refusal([{ path: ["remove"], message: "expected no such field without --merge, found it" }]);
}

/** What a text says of nodes and services, how many of each there are then, and what is wrong with them. */
interface ReadTables {
  readonly tables: Tables; // without services that are elsewhere
  readonly counts: TableCounts;
  readonly issues: readonly Issue[];
}

type TableCounts = ServiceCounts & { readonly nodes: number };

/** Without rules only the shape is looked at. */
function readTables(
  document: ConfigDocument,
  { nodes, services: written }: Pick<ConfigFile, "nodes" | "services">,
  inForce: Tables,
  bindings: readonly PolicyBinding[],
  rules: TableRules | undefined,
  origins?: string,
): ReadTables {
  const { services, issues: unbound, fieldOf } = bindPolicies(written, bindings);
  const tables = withAbsentOnes(document, { nodes, services }, inForce);
  const nodeIds = tables.nodes.map(({ id }) => id);
  const elsewhere = document.servicesElsewhere?.({ bindings, rules, nodeIds, origins });
  return {
    tables,
    counts: { ...(elsewhere ?? countsOf(tables.services, rules?.nodeId)), nodes: tables.nodes.length },
    issues: [...unbound, ...(rules === undefined ? [] : atFields(validateTables(tables, rules), fieldOf))],
  };
}

/** `nodeId` is the own node's. */
function countsOf(services: readonly Service[], nodeId: string | undefined): ServiceCounts {
  const counts = { services: services.length, kept: 0, addresses: 0, instances: 0, instanceAddresses: 0, workloads: 0 };
  for (const { addresses, instances } of services) {
    counts.addresses += addresses.length;
    counts.instances += instances.length;
    for (const { node, namespaceAddresses, instanceAddresses } of instances) {
      counts.instanceAddresses += instanceAddresses.length;
      if (node === nodeId) counts.workloads += namespaceAddresses.length;
    }
  }
  return counts;
}

/** A section that a text does not name keeps what is in force. */
function withAbsentOnes(document: ConfigDocument, tables: Tables, inForce: Tables): Tables {
  return {
    nodes: document.has("nodes") ? tables.nodes : inForce.nodes,
    services: document.has("services") ? tables.services : inForce.services,
  };
}

/** Whether all that was checked is in the text itself. */
function isWhole(document: ConfigDocument): boolean {
  return document.has("nodes") && document.has("services");
}

/** What a text takes the last one away of; a section that it does not name takes nothing away. */
function absenceIssues(document: ConfigDocument, counts: TableCounts, inForce: TableSizes): Issue[] {
  const { nodes, services: named, addresses, instances } = counts;
  const services = { services: named, addresses, instances };
  return emptyingIssues(
    { ...inForce, ...(document.has("nodes") && { nodes }), ...(document.has("services") && services) },
    inForce,
  );
}

function atFields(issues: readonly Issue[], fieldOf: (path: FieldPath) => FieldPath): Issue[] {
  return issues.map(({ path, message }) => ({ path: fieldOf(path), message }));
}

/** As many whole characters as fit. */
function cutTo(text: string, mostBytes: number): string {
  let cut = text;
  while (Buffer.byteLength(cut) > mostBytes) cut = [...cut].slice(0, -1).join("");
  return cut;
}

/**
 * With encryption the socket takes what comes out of WireGuard, whose addresses belong to no interface that is there
 * yet.
 */
function ownUnderlay(written: ConfigFile["node"]["underlay"], tun: string): OwnUnderlay {
  const { address, bind = written.encryption === "wireguard" ? "::" : address } = written;
  const wireguardDevice = written.wireguardDevice ?? cutTo(`wg-${tun}`, INTERFACE_NAME_BYTES_MAX);
  return { ...written, bind, wireguardDevice };
}

function encryptionIssues({ underlay }: ConfigFile["node"], ranges: ConfigFile["ranges"]): Issue[] {
  if (underlay.encryption === "none") return [];
  const path = ["node", "underlay"];
  const issues: Issue[] = [];
  if (underlay.bind !== undefined) {
    const message = `expected no such field with encryption: WireGuard listens at all addresses, found ${underlay.bind}`;
    issues.push({ path: [...path, "bind"], message });
  }
  if (underlay.port === underlay.wireguardPort) {
    issues.push({
      path: [...path, "wireguardPort"],
      message: `expected another port than that of the tunnel, found ${underlay.wireguardPort}`,
    });
  }
  const overlapping = ranges.find(
    (range) => contains(range, TUNNEL_PREFIX.bytes) || contains(TUNNEL_PREFIX, range.bytes),
  );
  if (overlapping !== undefined) {
    const message = `expected ranges without ${TUNNEL_PREFIX.text}, where encrypted nodes are, found ${overlapping.text}`;
    issues.push({ path: ["ranges"], message });
  }
  return issues;
}

/** Whoever reaches an address that is not loopback could ask otherwise. */
function observeIssues({ listen, token }: ConfigFile["observe"]): Issue[] {
  if (listen === undefined || isLoopback(listen.address) || token !== undefined) return [];
  const message = `expected a loopback address, or observe.token, found ${listen.address} without a token`;
  return [{ path: ["observe", "listen"], message }];
}

function bindingIssues(
  bindings: readonly PolicyBinding[],
  ranges: readonly Prefix[],
  policies: readonly string[],
): Issue[] {
  const firstAt = new Map<string, number>();
  return bindings.flatMap(({ prefix, policy }, i) => {
    const issues = policyIssue(["bindings", i, "policy"], policy, policies);
    const expect = (expected: string) =>
      issues.push({ path: ["bindings", i, "prefix"], message: `expected ${expected}, found ${prefix.text}` });
    const first = firstAt.get(prefix.text);
    if (first === undefined) firstAt.set(prefix.text, i);
    else expect(`a prefix other than that of bindings[${first}]`);
    if (!ranges.some((range) => contains(range, prefix.bytes) || contains(prefix, range.bytes))) {
      expect(`a prefix that has addresses of ${ranges.map(({ text }) => text).join(", ")}`);
    }
    return issues;
  });
}

function capacityIssues(counts: TableCounts, capacities: ConfigFile["tables"]): Issue[] {
  const used: ConfigFile["tables"] = { ...counts, addresses: counts.addresses + counts.instanceAddresses };
  return (["addresses", "instances", "workloads", "nodes"] as const)
    .filter((field) => used[field] > capacities[field])
    .map((field) => ({
      path: ["tables", field],
      message: `expected at least ${used[field]}, which this file itself needs, found ${capacities[field]}`,
    }));
}
