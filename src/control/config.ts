// A node's config file: YAML, checked completely before anything happens.

import { readFileSync } from "node:fs";
import type { z } from "zod";
import { SapwoodError } from "../errors.ts";
import { contains, parseAddress } from "../net/address.ts";
import { ConfigDocument } from "./config-document.ts";
import { configSchema, tablesSchema } from "./config-schema.ts";
import type { Issue } from "./issues.ts";
import type { Tables } from "./model.ts";
import { type TableRules, validateTables } from "./table-validation.ts";

type ConfigFile = z.output<typeof configSchema>;

/** The file's content with all defaults. Sections have the file's names, but for `capacities`: the file's `tables`. */
export interface Config extends Omit<ConfigFile, "node" | "tables" | "nodes" | "services"> {
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
  /** Names that services may use; those of the package unless given. */
  readonly policies?: readonly string[] | undefined;
}

/** Reads and checks a config file. Throws config-unreadable or config-invalid. */
export function loadConfig(path: string, options: ConfigOptions = {}): Config {
  return parseConfig(readText(path), path, options);
}

/** `fileName` is what errors call the text. */
export function parseConfig(text: string, fileName: string, { policies }: ConfigOptions = {}): Config {
  const document = new ConfigDocument(text, fileName);
  const { node, tables: capacities, nodes, services, ...rest } = document.parse(configSchema);
  const tables = { nodes, services };
  const issues = [
    ...ownNodeIssues(node, rest.ranges),
    ...validateTables(tables, { nodeId: node.id, ranges: rest.ranges, policies }),
    ...capacityIssues(tables, node.id, capacities),
  ];
  if (issues.length > 0) throw document.refusal(issues);
  const { address, port, bind = address } = node.underlay;
  return { ...rest, node: { ...node, underlay: { address, port, bind } }, capacities, tables };
}

/**
 * Nodes and services alone, as `sapwood apply` sends them; JSON is YAML, too. Without rules only the shape is checked:
 * the table store keeps the rules in any case, but does not know lines.
 */
export function parseTables(text: string, fileName: string, rules?: TableRules): Tables {
  const document = new ConfigDocument(text, fileName);
  const tables = document.parse(tablesSchema);
  const issues = rules === undefined ? [] : validateTables(tables, rules);
  if (issues.length > 0) throw document.refusal(issues);
  return tables;
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
