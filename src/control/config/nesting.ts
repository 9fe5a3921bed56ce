// How deep a text from outside may be nested. Parsers and what walks through their results go down one call per level,
// and a process whose stack is used up ends. So the depth is checked before anything is built of the text.

import * as Json from "./json-bytes.ts";

/** A configuration nests 8 levels. */
export const NESTING_MAX = 64;

/** Follows how deep a text is nested while it is read. Works for every format that has levels. */
class Nesting {
  readonly #refuse: (expected: string) => Error;
  readonly #most: number;
  #depth = 0;

  /** `refuse` makes the error that is thrown beyond the limit; it may name the place that was reached. */
  constructor(refuse: (expected: string) => Error, most = NESTING_MAX) {
    this.#refuse = refuse;
    this.#most = most;
  }

  enter(): void {
    this.#depth += 1;
    if (this.#depth > this.#most) throw this.#refuse(`expected at most ${this.#most} levels, found more`);
  }

  /** Does nothing at the top: whether a text closes more than it opened is the parser's to say. */
  leave(): void {
    if (this.#depth > 0) this.#depth -= 1;
  }
}

/**
 * Walks a JSON text (RFC 8259) up to its end, valid or not; throws what `refuse` makes when it is nested too deep.
 * Returns how many fields it has, each as often as it occurs.
 */
export function checkJsonNesting(
  text: string,
  refuse: (expected: string, at: number) => Error,
  most = NESTING_MAX,
): number {
  let at = 0;
  let fields = 0;
  const nesting = new Nesting((expected) => refuse(expected, at), most);
  let isText = false;
  for (; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (isText) {
      if (unit === Json.BACKSLASH) at += 1;
      else if (unit === Json.QUOTE) isText = false;
    } else if (unit === Json.QUOTE) isText = true;
    else if (unit === Json.OPEN_LIST || unit === Json.OPEN_FIELDS) nesting.enter();
    else if (unit === Json.CLOSE_LIST || unit === Json.CLOSE_FIELDS) nesting.leave();
    else if (unit === Json.COLON) fields += 1;
  }
  return fields;
}

/** How many fields a value of JSON has, at all levels; of a field that was there twice, one is left. */
export function countFields(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const values = Object.values(value);
  let fields = Array.isArray(value) ? 0 : values.length;
  for (const inner of values) fields += countFields(inner);
  return fields;
}
