// A node's config file: YAML, checked completely before anything happens.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { SapwoodError } from "../errors.ts";
import { contains, type Prefix, parseAddress } from "../net/address.ts";
import { ConfigDocument } from "./config-document.ts";
import { configSchema, tablesPatchSchema, tablesSchema } from "./config-schema.ts";
import type { FieldPath, Issue } from "./issues.ts";
import type { Tables, TablesPatch } from "./model.ts";
import { bindPolicies, DEFAULT_BINDINGS, type PolicyBinding, withDefaultBindings } from "./policy-bindings.ts";
import { BUILT_IN_POLICIES } from "./policy-names.ts";
import { policyIssue, type TableRules, validateTables } from "./table-validation.ts";

/** Holds a directory per proxy: their TUNs have different names. */
const STATE_FOLDER = "/var/lib/sapwood";

type ConfigFile = z.output<typeof configSchema>;

/** The file's content with all defaults. Sections have the file's names, but for `capacities`: the file's `tables`. */
export interface Config extends Omit<ConfigFile, "node" | "tables" | "nodes" | "services" | "bindings" | "state"> {
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
}

export interface ConfigOptions {
  /** Names that services may use beside those under `policies`; those of the package unless given. */
  readonly policies?: ((stateDirectory: string) => readonly string[]) | undefined;
}

export interface ParseTablesOptions {
  /** Prefixes whose addresses need not name a policy; the default ones unless given. */
  readonly bindings?: readonly PolicyBinding[] | undefined;
  /** Without rules only the shape is checked: the table store keeps the rules in any case, but knows no lines. */
  readonly rules?: TableRules | undefined;
}

/** Reads and checks a config file. Throws config-unreadable or config-invalid. */
export function loadConfig(path: string, options: ConfigOptions = {}): Config {
  return parseConfig(readText(path), path, options);
}

/** `fileName` is what errors call the text. */
export function parseConfig(text: string, fileName: string, options: ConfigOptions = {}): Config {
  const document = new ConfigDocument(text, fileName);
  const {
    node,
    tables: capacities,
    nodes,
    services: written,
    bindings: ownBindings,
    state: { directory },
    ...rest
  } = document.parse(configSchema);
  const state = { directory: directory ?? join(STATE_FOLDER, rest.tun.name) };
  const known = options.policies?.(state.directory) ?? BUILT_IN_POLICIES;
  const policies = [...new Set([...known, ...Object.keys(rest.policies)])];
  const bindings = withDefaultBindings(ownBindings);
  const { services, issues: unbound, fieldOf } = bindPolicies(written, bindings);
  const tables = { nodes, services };
  const issues = [
    ...ownNodeIssues(node, rest.ranges),
    ...bindingIssues(ownBindings, rest.ranges, policies),
    ...unbound,
    ...atFields(validateTables(tables, { nodeId: node.id, ranges: rest.ranges, policies }), fieldOf),
    ...capacityIssues(tables, node.id, capacities),
  ];
  if (issues.length > 0) throw document.refusal(issues);
  const { address, port, bind = address } = node.underlay;
  return { ...rest, state, bindings, node: { ...node, underlay: { address, port, bind } }, capacities, tables };
}

/** Nodes and services alone, as `sapwood apply` sends them; JSON is YAML, too. */
export function parseTables(
  text: string,
  fileName: string,
  { bindings = DEFAULT_BINDINGS, rules }: ParseTablesOptions = {},
): Tables {
  const document = new ConfigDocument(text, fileName);
  const { nodes, services: written } = document.parse(tablesSchema);
  const { services, issues: unbound, fieldOf } = bindPolicies(written, bindings);
  const tables = { nodes, services };
  const issues = [...unbound, ...(rules === undefined ? [] : atFields(validateTables(tables, rules), fieldOf))];
  if (issues.length > 0) throw document.refusal(issues);
  return tables;
}

/** What `sapwood apply --merge` sends. Only its shape is checked: the rest depends on the tables in force. */
export function parseTablesPatch(text: string, fileName: string, bindings: readonly PolicyBinding[]): TablesPatch {
  const document = new ConfigDocument(text, fileName);
  const { services: written, ...rest } = document.parse(tablesPatchSchema);
  const { services, issues } = bindPolicies(written, bindings);
  if (issues.length > 0) throw document.refusal(issues);
  return { ...rest, services };
}

function atFields(issues: readonly Issue[], fieldOf: (path: FieldPath) => FieldPath): Issue[] {
  return issues.map(({ path, message }) => ({ path: fieldOf(path), message }));
}

function readText(path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    const found = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
    throw new SapwoodError("config-unreadable", `${path} cannot be read (${found})`, { cause: error });
  }
}

/** The tunnel must not go through itself. */
function ownNodeIssues({ underlay }: ConfigFile["node"], ranges: ConfigFile["ranges"]): Issue[] {
  return (["address", "bind"] as const).flatMap((field) => {
    const address = underlay[field];
    const bytes = address === undefined ? undefined : parseAddress(address);
    const range = bytes === undefined ? undefined : ranges.find((one) => contains(one, bytes));
    if (range === undefined) return [];
    const message = `expected an address outside the range ${range.text}, found ${address}`;
    return [{ path: ["node", "underlay", field], message }];
  });
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

function capacityIssues({ nodes, services }: Tables, nodeId: string, capacities: ConfigFile["tables"]): Issue[] {
  const instances = services.flatMap((service) => service.instances);
  const used: ConfigFile["tables"] = {
    addresses:
      services.reduce((sum, service) => sum + service.addresses.length, 0) + lengths(instances, "instanceAddresses"),
    instances: instances.length,
    workloads: lengths(
      instances.filter(({ node }) => node === nodeId),
      "namespaceAddresses",
    ),
    nodes: nodes.length,
  };
  return (["addresses", "instances", "workloads", "nodes"] as const)
    .filter((field) => used[field] > capacities[field])
    .map((field) => ({
      path: ["tables", field],
      message: `expected at least ${used[field]}, which this file itself needs, found ${capacities[field]}`,
    }));
}

function lengths<Field extends string>(
  items: readonly Readonly<Record<Field, readonly unknown[]>>[],
  field: Field,
): number {
  return items.reduce((sum, item) => sum + item[field].length, 0);
}
