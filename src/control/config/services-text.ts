// Finds the services in a JSON text, so that they can be read one by one and the rest as any other text. It looks for
// brackets and quotes alone: whoever reads the parts finds out whether they are JSON.

import * as Json from "./json-bytes.ts";

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
  let at = Json.afterBlanks(bytes, 0);
  if (bytes[at] !== Json.OPEN_FIELDS) return undefined;
  for (at += 1; at < bytes.length; ) {
    at = Json.afterBlanks(bytes, at);
    if (bytes[at] !== Json.QUOTE) {
      if (bytes[at] === Json.CLOSE_FIELDS) return undefined;
      at = Json.afterValue(bytes, at); // a comma, or what is no JSON
      continue;
    }
    const end = Json.afterValue(bytes, at);
    const isSection = end - at === SECTION.length && SECTION.every((byte, i) => byte === bytes[at + i]);
    at = Json.afterBlanks(bytes, end);
    if (!isSection || bytes[at] !== Json.COLON) continue;
    at = Json.afterBlanks(bytes, at + 1);
    if (bytes[at] !== Json.OPEN_LIST) return undefined;
    const close = Json.afterValue(bytes, at) - 1;
    return bytes[close] === Json.CLOSE_LIST ? { bytes, from: at + 1, to: close } : undefined;
  }
  return undefined;
}

/** The text without what its list of services holds. */
export function withoutServices({ bytes, from, to }: ServicesText): Buffer {
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
}
