// A change that leaves nothing of a kind in force where there was something: mostly a mistake of the program that wrote
// it, and it ends every connection. So it needs a word.

import type { Issue } from "../../base/issues.ts";
import type { Tables } from "../../model/tables.ts";

/** How many there are of each kind. */
export interface TableSizes {
  readonly nodes: number;
  readonly services: number;
  readonly addresses: number; // service addresses
  readonly instances: number;
}

/** The section that would say the last one of a kind, and what one is called. */
const KINDS = [
  { section: "nodes", one: "node", size: "nodes" },
  { section: "services", one: "service", size: "services" },
  { section: "services", one: "service address", size: "addresses" },
  { section: "services", one: "instance", size: "instances" },
] as const satisfies readonly { readonly size: keyof TableSizes; readonly section: string; readonly one: string }[];

export function sizesOf({ nodes, services }: Tables): TableSizes {
  const sizes = { nodes: nodes.length, services: services.length, addresses: 0, instances: 0 };
  for (const { addresses, instances } of services) {
    sizes.addresses += addresses.length;
    sizes.instances += instances.length;
  }
  return sizes;
}

/** One issue per section of which nothing is left. */
export function emptyingIssues(after: TableSizes, inForce: TableSizes): Issue[] {
  const issues = new Map<string, Issue>();
  for (const { section, one, size } of KINDS) {
    const before = inForce[size];
    if (before === 0 || after[size] > 0 || issues.has(section)) continue;
    const message = `expected at least one ${one}, as there are ${before} in force, or allowEmpty: true; found none`;
    issues.set(section, { path: [section], message });
  }
  return [...issues.values()];
}
