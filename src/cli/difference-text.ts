// What a change would do, for people: "+" is added, "-" removed, "~" changed.

import type { DifferenceReport, FieldChange, ListDifference, ServiceDifference } from "../model/reports.ts";

export function* differencePieces({ generation, nodes, services }: DifferenceReport): Generator<string> {
  if (isEmpty(nodes) && isEmpty(services)) {
    yield `Nothing would change; generation ${generation} stays.\n`;
    return;
  }
  yield `Generation ${generation} would change:\n`;
  yield* listPieces(nodes, {
    told: (id) => `node ${id}`,
    changed: ({ id, fields }) => [`node ${id}${fieldsText(fields)}`],
  });
  yield* listPieces(services, {
    told: (name) => `service ${name}`,
    changed: (service) => [`service ${service.name}${fieldsText(service.fields)}`, ...serviceLines(service)],
  });
}

interface Words<Told, Change> {
  readonly told: (item: Told) => string;
  /** The line of it, and those below it. */
  readonly changed: (item: Change) => readonly string[];
}

function* listPieces<Told, Change>(
  { added, removed, changed }: ListDifference<Told, Change>,
  words: Words<Told, Change>,
): Generator<string> {
  for (const item of removed) yield `- ${words.told(item)}\n`;
  for (const item of added) yield `+ ${words.told(item)}\n`;
  for (const item of changed) {
    const [line, ...below] = words.changed(item);
    yield [`~ ${line}\n`, ...below.map((text) => `    ${text}\n`)].join("");
  }
}

function serviceLines({ addresses, instances }: ServiceDifference): string[] {
  const lines = [
    ...listPieces(addresses, {
      told: ({ address, policy }) => `address ${address}, ${policy}`,
      changed: ({ address, fields }) => [`address ${address}${fieldsText(fields)}`],
    }),
    ...listPieces(instances, {
      told: ({ number, node }) => `instance ${number} on ${node}`,
      changed: ({ number, fields }) => [`instance ${number}${fieldsText(fields)}`],
    }),
  ];
  return lines.map((line) => line.trimEnd());
}

function fieldsText(fields: readonly FieldChange[]): string {
  return fields.map(({ field, before, after }) => `, ${field} ${valueText(before)} -> ${valueText(after)}`).join("");
}

function valueText(value: unknown): string {
  if (value === null) return "none";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.join(" ");
  return String(value);
}

function isEmpty({ added, removed, changed }: ListDifference<unknown, unknown>): boolean {
  return added.length + removed.length + changed.length === 0;
}
