// The structure of a JSON text (RFC 8259) in units of UTF-8 or UTF-16: where its values begin and end, by brackets and
// quotes alone.

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_LIST = 0x5b;
export const BACKSLASH = 0x5c;
export const CLOSE_LIST = 0x5d;
export const OPEN_FIELDS = 0x7b;
export const CLOSE_FIELDS = 0x7d;
const BLANK = 0x20;

/** The first place from `at` on that is no white space of JSON (RFC 8259 section 2). */
export function afterBlanks(bytes: ArrayLike<number>, at: number): number {
  let next = at;
  for (; next < bytes.length; next++) {
    const byte = bytes[next] ?? 0;
    if (byte > BLANK || (byte !== BLANK && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
  }
  return next;
}

/** Where the value that begins at `at` ends: a text, a list, fields, or a single character of anything else. */
export function afterValue(bytes: ArrayLike<number>, at: number): number {
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

/** Where a value of any kind ends, or the white space after it. */
export function afterItem(bytes: ArrayLike<number>, at: number): number {
  const first = bytes[at];
  if (first === QUOTE || first === OPEN_LIST || first === OPEN_FIELDS) return afterValue(bytes, at);
  let next = at;
  for (; next < bytes.length; next++) {
    const byte = bytes[next];
    if (byte === COMMA || byte === CLOSE_LIST || byte === CLOSE_FIELDS) break;
  }
  return next;
}
