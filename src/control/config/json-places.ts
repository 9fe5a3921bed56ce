// Where the values of a JSON text (RFC 8259) are, by their paths. The library that knows the places of a YAML text would
// need minutes, and gigabytes, for as many services as JSON is read with in a second.

import type { FieldPath } from "../../base/issues.ts";
import * as Json from "./json-bytes.ts";

/** A field, or an item of a list: where it begins, and where its value does. Both in UTF-16 units. */
interface Part {
  readonly at: number;
  readonly valueAt: number;
}

/** A value and its parts. */
interface Whole {
  readonly valueAt: number;
  readonly parts: ReadonlyMap<string, Part>;
}

export class JsonPlaces {
  readonly #text: string;
  readonly #units: Uint16Array;
  /** By level, the one that was looked into last: thousands of mistakes may be in one list, one after the other. */
  readonly #last: Whole[] = [];

  /** Of a text that JSON.parse() reads. */
  constructor(text: string) {
    this.#text = text;
    this.#units = new Uint16Array(text.length);
    Buffer.from(this.#units.buffer).write(text, "utf16le");
  }

  /** Where the field begins, or the innermost one around it that exists. */
  placeOf(path: FieldPath): number {
    const begin = Json.afterBlanks(this.#units, 0);
    let found: Part = { at: begin, valueAt: begin };
    for (const [level, name] of path.entries()) {
      const part = this.#partsOf(found.valueAt, level).get(String(name));
      if (part === undefined) break;
      found = part;
    }
    return found.at;
  }

  #partsOf(valueAt: number, level: number): ReadonlyMap<string, Part> {
    const last = this.#last[level];
    if (last?.valueAt === valueAt) return last.parts;
    const parts = this.#read(valueAt);
    this.#last[level] = { valueAt, parts };
    return parts;
  }

  /** By the names of fields, or by the numbers of items from 0. None of what is neither fields nor a list. */
  #read(valueAt: number): ReadonlyMap<string, Part> {
    const units = this.#units;
    const isList = units[valueAt] === Json.OPEN_LIST;
    const parts = new Map<string, Part>();
    const end = Json.afterValue(units, valueAt) - 1;
    if (units[end] !== Json.CLOSE_LIST && units[end] !== Json.CLOSE_FIELDS) return parts;
    for (let at = Json.afterBlanks(units, valueAt + 1); at < end; ) {
      const keyEnd = isList ? at : Json.afterValue(units, at);
      const name = isList ? String(parts.size) : JSON.parse(this.#text.slice(at, keyEnd));
      const itemAt = isList ? at : Json.afterBlanks(units, Json.afterBlanks(units, keyEnd) + 1); // behind the colon
      parts.set(name, { at, valueAt: itemAt });
      at = Json.afterBlanks(units, Json.afterItem(units, itemAt));
      if (units[at] === Json.COMMA) at = Json.afterBlanks(units, at + 1);
    }
    return parts;
  }
}
