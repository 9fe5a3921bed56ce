// A change that leaves nothing of a kind in force where there was something: mostly a mistake of the program that wrote
// it, and it ends every connection. So it needs a word.

import type { Issue } from "../../base/issues.ts";
import type { Tables } from "../../model/tables.ts";

/**
 * What a change may take the last one away of: the section that would say it, what one is called, how many there are.
 */
const KINDS = [
  { section: "nodes", one: "node", count: ({ nodes }: Tables) => nodes.length },
  { section: "services", one: "service", count: ({ services }: Tables) => services.length },
  {
    section: "services",
    one: "service address",
    count: ({ services }: Tables) => services.reduce((sum, { addresses }) => sum + addresses.length, 0),
  },
  {
    section: "services",
    one: "instance",
    count: ({ services }: Tables) => services.reduce((sum, { instances }) => sum + instances.length, 0),
  },
] as const;

/** One issue per section of which nothing is left. */
export function emptyingIssues(after: Tables, inForce: Tables): Issue[] {
  const issues = new Map<string, Issue>();
  for (const { section, one, count } of KINDS) {
    const before = count(inForce);
    if (before === 0 || count(after) > 0 || issues.has(section)) continue;
    const message = `expected at least one ${one}, as there are ${before} in force, or allowEmpty: true; found none`;
    issues.set(section, { path: [section], message });
  }
  return [...issues.values()];
}
