// What `sapwood check` says of a file: a configuration, or nodes and services for `sapwood apply`, which do not say
// which node they are for.

import type { Issue } from "../../base/issues.ts";
import { BUILT_IN_POLICIES } from "../../model/policy-names.ts";
import type { Tables } from "../../model/tables.ts";
import { parsePrefix } from "../../net/address.ts";
import { bindPolicies, DEFAULT_BINDINGS, type PolicyBinding } from "../tables/policy-bindings.ts";
import { duplicateNames, nodeIssues, serviceIssues, type TableRules } from "../tables/table-validation.ts";
import { type Config, type ConfigOptions, configOf, loadConfig, requireNoRemoval } from "./config.ts";
import { ConfigDocument } from "./config-document.ts";
import { configSchema, DEFAULT_RANGES, tablesPatchSchema, tablesSchema } from "./config-schema.ts";

export interface CheckOptions {
  /** The configuration of the node that is to take a file for `apply`; one that keeps the defaults unless given. */
  readonly configFile: string | undefined;
  /** Whether the file is for `apply --merge`. */
  readonly isMerge: boolean;
  readonly policies?: ConfigOptions["policies"];
  readonly fileIssues?: ConfigOptions["fileIssues"];
}

interface Checked {
  readonly node: string | null; // null = a file for `apply`
  readonly tables: Tables;
}

const TABLE_SECTIONS = new Set([...Object.keys(tablesSchema.shape), ...Object.keys(tablesPatchSchema.shape)]);
const OTHER_SECTIONS = Object.keys(configSchema.shape).filter((section) => !TABLE_SECTIONS.has(section));

/** Throws config-invalid with everything that is wrong, config-unreadable when the configuration cannot be read. */
export function checkText(text: string, fileName: string, options: CheckOptions): Checked {
  const document = new ConfigDocument(text, fileName);
  if (!options.isMerge && !isForApply(document)) {
    const { node, tables } = configOf(document, options);
    return { node: node.id, tables };
  }
  const config = options.configFile === undefined ? undefined : loadConfig(options.configFile, options);
  return { node: null, tables: checkTables(document, config, options) };
}

function isForApply(document: ConfigDocument): boolean {
  const hasSome = [...TABLE_SECTIONS].some((section) => document.has(section));
  return hasSome && !OTHER_SECTIONS.some((section) => document.has(section));
}

function checkTables(document: ConfigDocument, config: Config | undefined, options: CheckOptions): Tables {
  const { isMerge } = options;
  if (!isMerge) requireNoRemoval(document);
  const { nodes, services: written } = document.parse(isMerge ? tablesPatchSchema : tablesSchema);
  const bindings: readonly PolicyBinding[] = config?.bindings ?? DEFAULT_BINDINGS;
  const { services, issues: unbound, fieldOf } = bindPolicies(written, bindings);
  const tables = { nodes, services };
  const nodeIds = knownNodes(document, tables, config, isMerge);
  const rules = rulesOf(config, options, nodeIds.own);
  const placed = services.map((service, i) => ({ service, path: ["services", i] }));
  const issues: Issue[] = [
    ...unbound,
    ...[
      ...duplicateNames(tables),
      ...nodeIssues(nodes, rules),
      ...serviceIssues(placed, nodeIds.all, rules, { addressOwner: () => undefined, namespaceOwner: () => undefined }),
    ].map(({ path, message }) => ({ path: fieldOf(path), message })),
  ];
  if (issues.length > 0) throw document.refusal(issues);
  return tables;
}

interface KnownNodes {
  readonly own: string;
  readonly all: ReadonlySet<string>;
}

/**
 * Nodes that instances may name. Who takes the file is not said in it: of the nodes that it does not list, one may be
 * that. Without a list all may be in force there.
 */
function knownNodes(
  document: ConfigDocument,
  { nodes, services }: Tables,
  config: Config | undefined,
  isMerge: boolean,
) {
  const listed = nodes.map(({ id }) => id);
  const isWhole = document.has("nodes") && !isMerge;
  if (config !== undefined) {
    const inForce = isWhole ? [] : config.tables.nodes.map(({ id }) => id);
    return { own: config.node.id, all: new Set([config.node.id, ...listed, ...inForce]) } satisfies KnownNodes;
  }
  const known = new Set(listed);
  const named = services.flatMap(({ instances }) => instances.map(({ node }) => node));
  const own = named.find((id) => !known.has(id)) ?? "";
  return { own, all: new Set([own, ...listed, ...(isWhole ? [] : named)]) } satisfies KnownNodes;
}

function rulesOf(config: Config | undefined, { policies }: CheckOptions, own: string): TableRules {
  if (config === undefined) return { nodeId: own, ranges: DEFAULT_RANGES.map(parsePrefix) };
  const { node, ranges, state } = config;
  return {
    nodeId: own,
    ranges,
    policies: [...(policies?.(state.directory) ?? BUILT_IN_POLICIES), ...Object.keys(config.policies)],
    own: node.underlay,
    isEncrypted: node.underlay.encryption === "wireguard",
  };
}
