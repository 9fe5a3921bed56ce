// Tables with a change made to them.

import type { Node, Tables, TablesPatch } from "../../model/tables.ts";

/** What changes keeps its place, what is new comes last. */
export function mergeTables({ nodes, services }: Tables, { remove, ...set }: TablesPatch): Tables {
  return {
    nodes: mergeNodes(nodes, { ...set, remove }),
    services: mergeLists(services, set.services, remove.services, ({ name }) => name),
  };
}

/** The same for nodes alone. */
export function mergeNodes(nodes: readonly Node[], { remove, ...set }: TablesPatch): Node[] {
  return mergeLists(nodes, set.nodes, remove.nodes, ({ id }) => id);
}

function mergeLists<T>(
  before: readonly T[],
  set: readonly T[],
  remove: readonly string[],
  keyOf: (item: T) => string,
): T[] {
  const gone = new Set(remove);
  const changed = new Map(set.map((item) => [keyOf(item), item]));
  const merged: T[] = [];
  for (const item of before) {
    const key = keyOf(item);
    if (!gone.has(key)) merged.push(changed.get(key) ?? item);
    changed.delete(key);
  }
  return [...merged, ...changed.values()];
}
