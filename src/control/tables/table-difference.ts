// What a change of the tables would add, remove and change, by the names of nodes, services and instances.

import type { DifferenceReport, FieldChange, ListDifference, ServiceDifference } from "../../model/reports.ts";
import { type Service, type Tables, writtenHealth } from "../../model/tables.ts";
import { writtenInstance } from "./tables-document.ts";

export function differenceOf(before: Tables, after: Tables): Pick<DifferenceReport, "nodes" | "services"> {
  return {
    nodes: compareLists(before.nodes, after.nodes, {
      keyOf: ({ id }) => id,
      told: ({ id }) => id,
      change: (a, b) => withFields({ id: b.id }, a, b),
    }),
    services: compareLists(before.services, after.services, {
      keyOf: ({ name }) => name,
      told: ({ name }) => name,
      change: compareServices,
    }),
  };
}

function compareServices(before: Service, after: Service): ServiceDifference | undefined {
  const addresses = compareLists(before.addresses, after.addresses, {
    keyOf: ({ address }) => address,
    told: ({ address, policy }) => ({ address, policy }),
    change: (a, b) => withFields({ address: b.address }, a, b),
  });
  const instances = compareLists(before.instances.map(writtenInstance), after.instances.map(writtenInstance), {
    keyOf: ({ number }) => number,
    told: ({ number, node }) => ({ number, node }),
    change: (a, b) => withFields({ number: b.number }, a, b),
  });
  const written = ({ health }: Service): object => ({ health: writtenHealth(health) });
  const fields = withFields({}, written(before), written(after))?.fields ?? [];
  const isSame = [addresses, instances].every((list) => Object.values(list).every(({ length }) => length === 0));
  return isSame && fields.length === 0 ? undefined : { name: after.name, fields, addresses, instances };
}

interface Comparison<Item, Told, Change> {
  readonly keyOf: (item: Item) => string | number;
  readonly told: (item: Item) => Told;
  /** Undefined when both are the same. */
  readonly change: (before: Item, after: Item) => Change | undefined;
}

function compareLists<Item, Told, Change>(
  before: readonly Item[],
  after: readonly Item[],
  { keyOf, told, change }: Comparison<Item, Told, Change>,
): ListDifference<Told, Change> {
  const gone = new Map(before.map((item) => [keyOf(item), item]));
  const added: Told[] = [];
  const changed: Change[] = [];
  for (const item of after) {
    const old = gone.get(keyOf(item));
    gone.delete(keyOf(item));
    if (old === item) continue;
    const found = old === undefined ? undefined : change(old, item);
    if (old === undefined) added.push(told(item));
    else if (found !== undefined) changed.push(found);
  }
  return { added, removed: [...gone.values()].map(told), changed };
}

function withFields<Name extends object>(
  name: Name,
  before: object,
  after: object,
): (Name & { readonly fields: readonly FieldChange[] }) | undefined {
  const [old, now] = [leaves(before), leaves(after)];
  const fields = [...new Set([...old.keys(), ...now.keys()])]
    .map((field) => ({ field, before: old.get(field) ?? null, after: now.get(field) ?? null }))
    .filter((change) => JSON.stringify(change.before) !== JSON.stringify(change.after));
  return fields.length === 0 ? undefined : { ...name, fields };
}

/** "underlay.port" and so on; a list is one value. */
function leaves(value: object, prefix = ""): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [name, field] of Object.entries(value)) {
    if (typeof field === "object" && field !== null && !Array.isArray(field)) {
      for (const [inner, leaf] of leaves(field, `${prefix}${name}.`)) found.set(inner, leaf);
    } else if (field !== undefined) {
      found.set(prefix + name, field);
    }
  }
  return found;
}
