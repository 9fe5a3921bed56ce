// What docs/counters.md says of each counter and drop reason: its meaning, and what to do about it. Whoever shows a
// counter to people takes the words from here, so that they are written once.

import { readFileSync } from "node:fs";

interface CounterText {
  readonly meaning: string;
  /** Empty where nothing is to be done. */
  readonly advice: string;
}

// Compiled, this file is dist/src/control/observe/counter-texts.js; as source it is
// src/control/observe/counter-texts.ts.
const PACKAGE = new URL(import.meta.url.endsWith(".ts") ? "../../../" : "../../../../", import.meta.url);

let texts: ReadonlyMap<string, CounterText> | undefined;

/** The words about a counter or drop reason; without the page there are none. */
export function counterText(name: string): CounterText | undefined {
  texts ??= parseCounterTexts(readPage());
  return texts.get(name);
}

/** Rows "| `name` | meaning | advice |" of a page, as plain text. */
function parseCounterTexts(page: string): Map<string, CounterText> {
  const rows = [...page.matchAll(/^\| `(\w+)` \| (.*?) \|(?: (.*?))? \|$/gm)];
  return new Map(
    rows.map(([, name = "", meaning = "", advice = ""]) => [name, { meaning: plain(meaning), advice: plain(advice) }]),
  );
}

function plain(markdown: string): string {
  return markdown
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll("`", "")
    .trim();
}

/** Only the words depend on it: a package without its documentation still works. */
function readPage(): string {
  try {
    return readFileSync(new URL("docs/counters.md", PACKAGE), "utf8");
  } catch {
    return "";
  }
}
