// Walks through a JSON text (RFC 8259) in UTF-8, value by value, without making any. It reads what programs write
// plainly: texts of printable ASCII without escapes, whole numbers, true and false.

import * as Json from "./json-bytes.ts";

/** The text has something that is not read here: it is for those who read everything. */
export class NotPlain extends Error {
  constructor() {
    super("expected services that are written plainly and keep all rules");
    this.name = "NotPlain";
  }
}

const ZERO = 0x30;
const TEXT_MAX = 253;
const DIGITS_MAX = 10;
const TRUE = Buffer.from("true");
const FALSE = Buffer.from("false");

export class JsonCursor {
  readonly bytes: Buffer;
  at: number;
  /** The text or key that was read last, without its quotes. */
  textFrom = 0;
  textTo = 0;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  /** Goes to the first or the next item of a list, or behind its end. Throws NotPlain. */
  hasItem(isFirst: boolean): boolean {
    return this.#goOn(isFirst, Json.CLOSE_LIST);
  }

  /** Goes to the value of the first or the next field, whose key is the text then, or behind their end. Throws NotPlain. */
  hasField(isFirst: boolean): boolean {
    if (!this.#goOn(isFirst, Json.CLOSE_FIELDS)) return false;
    if (this.bytes[this.at] !== Json.QUOTE) throw new NotPlain();
    this.textFrom = this.at + 1;
    this.at = Json.afterValue(this.bytes, this.at);
    this.textTo = this.at - 1;
    this.at = Json.afterBlanks(this.bytes, this.at);
    if (this.bytes[this.at] !== Json.COLON) throw new NotPlain();
    this.at = Json.afterBlanks(this.bytes, this.at + 1);
    return true;
  }

  /** Goes behind the bracket of a list; false when there is none. */
  openList(): boolean {
    return this.#take(Json.OPEN_LIST);
  }

  /** Likewise of fields. */
  openFields(): boolean {
    return this.#take(Json.OPEN_FIELDS);
  }

  /** Whether the text is this one. */
  isText(wanted: Uint8Array): boolean {
    if (this.textTo - this.textFrom !== wanted.length) return false;
    for (let i = 0; i < wanted.length; i++) if (this.bytes[this.textFrom + i] !== wanted[i]) return false;
    return true;
  }

  /** The text as a string; it is ASCII. */
  text(): string {
    return this.bytes.toString("latin1", this.textFrom, this.textTo);
  }

  /** Goes behind a text of 1 to 253 printable characters without spaces; false when there is none. */
  readText(): boolean {
    const { bytes } = this;
    if (bytes[this.at] !== Json.QUOTE) return false;
    const from = this.at + 1;
    const most = from + TEXT_MAX;
    for (let next = from; next <= most; next++) {
      const byte = bytes[next] ?? 0;
      if (byte === Json.QUOTE) {
        this.textFrom = from;
        this.textTo = next;
        this.at = next + 1;
        return next > from;
      }
      if (byte <= 0x20 || byte > 0x7e || byte === Json.BACKSLASH) return false;
    }
    return false;
  }

  /** Goes behind a whole number and returns it; -1 when there is none from 0 to `most`. */
  readWhole(most: number): number {
    const { bytes } = this;
    const from = this.at;
    let value = 0;
    let next = from;
    for (; next <= from + DIGITS_MAX; next++) {
      const digit = (bytes[next] ?? 0) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    const isNumber = next > from && value <= most && (next === from + 1 || bytes[from] !== ZERO);
    this.at = next;
    return isNumber ? value : -1; // what follows may be a fraction: then no comma or bracket is found
  }

  /** Goes behind true or false; undefined when there is none. */
  readFlag(): boolean | undefined {
    if (this.#takeAll(TRUE)) return true;
    return this.#takeAll(FALSE) ? false : undefined;
  }

  /** Goes behind the value, which may be anything. */
  skipValue(): void {
    this.at = Json.afterItem(this.bytes, this.at);
  }

  #goOn(isFirst: boolean, close: number): boolean {
    this.at = Json.afterBlanks(this.bytes, this.at);
    if (isFirst) return !this.#take(close);
    if (this.#take(close)) return false;
    if (!this.#take(Json.COMMA)) throw new NotPlain();
    this.at = Json.afterBlanks(this.bytes, this.at);
    return true;
  }

  #take(byte: number): boolean {
    if (this.bytes[this.at] !== byte) return false;
    this.at += 1;
    return true;
  }

  #takeAll(wanted: Uint8Array): boolean {
    for (let i = 0; i < wanted.length; i++) if (this.bytes[this.at + i] !== wanted[i]) return false;
    this.at += wanted.length;
    return true;
  }
}
