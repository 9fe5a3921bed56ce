// What is wrong with a configuration or with tables: all of it at once, each with the field that it is about.

import { printableLine } from "./printable.ts";

export type FieldPath = readonly (string | number)[];

/** Of a longer list the rest is only counted. */
export const LINES_MAX = 100;
const SHOWN_LENGTH_MAX = 60;
const NAMES_MAX = 20;
/** Longer names are not guessed at: comparing two texts costs the product of their lengths. */
const GUESSED_LENGTH_MAX = 64;

export interface Issue {
  readonly path: FieldPath;
  readonly message: string; // "expected ..., found ..."
}

/** ["services", 0, "name"] -> "services[0].name". */
export function fieldName(path: FieldPath): string {
  return path
    .map((part, i) => (typeof part === "number" ? `[${part}]` : `${i === 0 ? "" : "."}${shortText(part)}`))
    .join("");
}

/** A text of any length and any characters as a message may repeat it, on one line. */
export function shortText(text: string, mostUnits = SHOWN_LENGTH_MAX): string {
  if (text.length <= mostUnits) return printableLine(text);
  const whole = text.slice(0, mostUnits).replace(/[\ud800-\udbff]$/, ""); // half of a character
  return `${printableLine(whole)}...`;
}

/** A value of any type, depth and length as a message may repeat it: of what holds other values only what it is. */
export function valueText(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return `"${shortText(value)}"`;
  if (value === null || typeof value !== "object") return String(value);
  return Array.isArray(value) ? "a list" : "fields";
}

/** One line per issue. */
export function issueLines(issues: readonly Issue[]): string {
  return joinLines(issues.map(({ path, message }) => `${fieldName(path)}: ${message}`));
}

/** A text that a person can read, also when a generated file has the same mistake in a million places. */
export function joinLines(lines: readonly string[], more = 0): string {
  const rest = lines.length + more - LINES_MAX;
  return [...lines.slice(0, LINES_MAX), ...(rest > 0 ? [`and ${rest} more`] : [])].join("\n");
}

/** "a, b, c", or the first of very many. */
export function nameList(names: readonly (string | number)[]): string {
  const rest = names.length - NAMES_MAX;
  return rest > 0 ? `${names.slice(0, NAMES_MAX).join(", ")} and ${rest} more` : names.join(", ");
}

/** " (did you mean web?)", or nothing. */
export function meantText(name: string, known: readonly string[]): string {
  const meant = closestName(name, known);
  return meant === undefined ? "" : ` (did you mean ${meant}?)`;
}

/** The known name that a mistyped one was probably meant to be. */
export function closestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > GUESSED_LENGTH_MAX) return undefined;
  let most = Math.max(1, Math.floor(name.length / 3));
  let best: string | undefined;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) > most) continue; // its distance is no less
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance > most || (best !== undefined && distance === most)) continue;
    best = candidate;
    most = distance;
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that make b of a (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let cost = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforePrevious[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
