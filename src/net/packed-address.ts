// Addresses within strings of bytes: 16 characters from 0 to 255. V8 keeps such a string in a byte per character, and
// compares two of them like memory.

import { ADDRESS_SIZE, type Family } from "./address.ts";
import * as Bulk from "./bulk-address.ts";

/** Of 32 bits, as the tables have an address. */
export const ADDRESS_WORDS = 4;

const BYTES = Buffer.alloc(ADDRESS_SIZE);
/** Third word of a v4-mapped address, little-endian; the two before it are 0. */
const V4_MAPPED = 0xffff_0000;

/** Undefined when the text is no address. */
export function packAddress(text: string): string | undefined {
  return Bulk.readAddress(text, BYTES, 0) ? BYTES.toString("latin1") : undefined;
}

/** Canonical text of the address at `at`. */
export function unpackAddress(packed: string, at: number): string {
  for (let i = 0; i < ADDRESS_SIZE; i++) BYTES[i] = packed.charCodeAt(at + i);
  return Bulk.formatAddress(BYTES);
}

/** The little-endian word at `at`. */
export function wordAt(packed: string, at: number): number {
  const upper = (packed.charCodeAt(at + 3) << 8) | packed.charCodeAt(at + 2);
  return ((upper << 16) | (packed.charCodeAt(at + 1) << 8) | packed.charCodeAt(at)) >>> 0;
}

/** The four words of the address at `at`. */
export function readWords(packed: string, at: number, into: Uint32Array): void {
  for (let i = 0; i < ADDRESS_WORDS; i++) into[i] = wordAt(packed, at + 4 * i);
}

export function familyAt(packed: string, at: number): Family {
  return wordAt(packed, at + 8) === V4_MAPPED && wordAt(packed, at) === 0 && wordAt(packed, at + 4) === 0 ? 4 : 6;
}

/** Whether both strings have the same `length` bytes there. */
export function isSamePart(a: string, aAt: number, b: string, bAt: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a.charCodeAt(aAt + i) !== b.charCodeAt(bAt + i)) return false;
  return true;
}
