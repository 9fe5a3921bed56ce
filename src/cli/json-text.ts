// JSON as the commands print it with --json, in pieces: the text of very many flows is longer than a string may be.

import { inPieces } from "../base/pieces.ts";

const INDENT = "  ";

/** The same text as JSON.stringify(value, undefined, 2), and a newline. */
export function jsonPieces(value: unknown): Generator<string> {
  return inPieces(line(value));
}

function* line(value: unknown): Generator<string> {
  yield* jsonParts(value, "");
  yield "\n";
}

/** Lists are taken apart, and so are fields that hold one: everything else is short. */
function* jsonParts(value: unknown, indent: string): Generator<string> {
  const inner = indent + INDENT;
  if (Array.isArray(value) && value.length > 0) {
    yield "[";
    for (const [i, item] of value.entries()) {
      yield i === 0 ? `\n${inner}` : `,\n${inner}`;
      yield indented(item ?? null, inner);
    }
    yield `\n${indent}]`;
  } else if (isFields(value) && Object.values(value).some(Array.isArray)) {
    const entries = Object.entries(value).filter(([, field]) => field !== undefined);
    yield "{";
    for (const [i, [name, field]] of entries.entries()) {
      yield `${i === 0 ? "" : ","}\n${inner}${JSON.stringify(name)}: `;
      yield* jsonParts(field, inner);
    }
    yield `\n${indent}}`;
  } else {
    yield indented(value, indent);
  }
}

function indented(value: unknown, indent: string): string {
  return JSON.stringify(value, undefined, INDENT).replaceAll("\n", `\n${indent}`);
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
