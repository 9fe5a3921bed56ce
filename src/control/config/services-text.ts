// Finds the services in a JSON text, so that they can be read one by one and the rest as any other text. It looks for
// brackets and quotes alone: whoever reads the parts finds out whether they are JSON.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_FIELDS = 0x7b;
const CLOSE_FIELDS = 0x7d;
const BLANK = 0x20;
const SECTION = Buffer.from('"services"');

/** A text in UTF-8 and its list of services. */
export interface ServicesText {
  readonly bytes: Buffer;
  /** After the bracket that opens the list. */
  readonly from: number;
  /** At the bracket that closes it. */
  readonly to: number;
}

/** Undefined when there is no such list in the fields of a text, or not at a place that is found this way. */
export function findServices(bytes: Buffer): ServicesText | undefined {
  let at = afterBlanks(bytes, 0);
  if (bytes[at] !== OPEN_FIELDS) return undefined;
  for (at += 1; at < bytes.length; ) {
    at = afterBlanks(bytes, at);
    if (bytes[at] !== QUOTE) {
      if (bytes[at] === CLOSE_FIELDS) return undefined;
      at = afterValue(bytes, at); // a comma, or what is no JSON
      continue;
    }
    const end = afterValue(bytes, at);
    const isSection = end - at === SECTION.length && SECTION.every((byte, i) => byte === bytes[at + i]);
    at = afterBlanks(bytes, end);
    if (!isSection || bytes[at] !== COLON) continue;
    at = afterBlanks(bytes, at + 1);
    if (bytes[at] !== OPEN_LIST) return undefined;
    const close = afterValue(bytes, at) - 1;
    return bytes[close] === CLOSE_LIST ? { bytes, from: at + 1, to: close } : undefined;
  }
  return undefined;
}

/** The text without what its list of services holds. */
export function withoutServices({ bytes, from, to }: ServicesText): Buffer {
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
}

/** The first place from `at` on that is no white space of JSON (RFC 8259 section 2). */
export function afterBlanks(bytes: Uint8Array, at: number): number {
  let next = at;
  for (; next < bytes.length; next++) {
    const byte = bytes[next] ?? 0;
    if (byte > BLANK || (byte !== BLANK && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
  }
  return next;
}

/** Where the value that begins at `at` ends: a text, a list, fields, or a single character of anything else. */
export function afterValue(bytes: Uint8Array, at: number): number {
  let depth = 0;
  for (let next = at; next < bytes.length; next++) {
    const byte = bytes[next];
    if (byte === QUOTE) {
      for (next += 1; next < bytes.length && bytes[next] !== QUOTE; next++) if (bytes[next] === BACKSLASH) next += 1;
    } else if (byte === OPEN_LIST || byte === OPEN_FIELDS) depth += 1;
    else if (byte === CLOSE_LIST || byte === CLOSE_FIELDS) depth -= 1;
    if (depth <= 0) return next + 1;
  }
  return bytes.length;
}
