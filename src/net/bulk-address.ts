// Addresses of whole tables: a configuration of a million instances has four million of them, and as many flows may be
// listed. Each function does what its namesake in address.ts does through ipaddr.js, in a fraction of the time: `npm
// run bench -- --only "address text"` compares them, bench/README.md has the figures, and a test holds both to the same
// results. Whatever is no table uses address.ts.

import { ADDRESS_SIZE, isV4Mapped } from "./address.ts";

const GROUP_COUNT = 8; // of 16 bits, in the text of an IPv6 address
/** Characters of the longest text that is an address. */
export const TEXT_MAX = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".length;
const DOT = 0x2e;
const COLON = 0x3a;
const ZERO = 0x30;
const HEX = Buffer.from("0123456789abcdef");
/** A text on its way from or to a string. */
const TEXT = Buffer.alloc(TEXT_MAX);

/** The canonical text of an address, or undefined when it is none. A v4-mapped address is the IPv4 address. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = new Uint8Array(ADDRESS_SIZE);
  return readAddress(text, bytes, 0) ? formatAddress(bytes) : undefined;
}

/** Canonical text of the 16 bytes at `at`. */
export function formatAddress(bytes: Uint8Array, at = 0): string {
  return TEXT.toString("latin1", 0, writeAddress(bytes, at, TEXT, 0));
}

/** The same as ASCII at `to` of `into`, which needs room for TEXT_MAX bytes; returns where it ends. */
export function writeAddress(bytes: Uint8Array, at: number, into: Uint8Array, to: number): number {
  if (!isV4Mapped(bytes, at)) return writeV6(bytes, at, into, to);
  let end = to;
  for (let i = 12; i < ADDRESS_SIZE; i++) {
    if (i > 12) into[end++] = DOT;
    end = writeDecimal(bytes[at + i] ?? 0, into, end);
  }
  return end;
}

/** A byte. */
function writeDecimal(value: number, into: Uint8Array, to: number): number {
  let end = to;
  if (value >= 100) into[end++] = ZERO + Math.floor(value / 100);
  if (value >= 10) into[end++] = ZERO + (Math.floor(value / 10) % 10);
  into[end++] = ZERO + (value % 10);
  return end;
}

/**
 * RFC 5952: lower case, no leading zeros, "::" for the first of the longest runs of two or more zero groups (section
 * 4.2).
 */
function writeV6(bytes: Uint8Array, at: number, into: Uint8Array, to: number): number {
  let runAt = GROUP_COUNT;
  let runLength = 1;
  for (let index = 0, zeros = 0; index < GROUP_COUNT; index++) {
    zeros = bytes[at + 2 * index] === 0 && bytes[at + 2 * index + 1] === 0 ? zeros + 1 : 0;
    if (zeros > runLength) {
      runLength = zeros;
      runAt = index + 1 - zeros;
    }
  }
  let end = to;
  for (let index = 0; index < GROUP_COUNT; index++) {
    if (index === runAt) {
      into[end++] = COLON;
      into[end++] = COLON;
      index += runLength - 1;
      continue;
    }
    if (index > 0 && index !== runAt + runLength) into[end++] = COLON;
    const group = ((bytes[at + 2 * index] ?? 0) << 8) | (bytes[at + 2 * index + 1] ?? 0);
    let shift = 12;
    while (shift > 0 && group >>> shift === 0) shift -= 4;
    for (; shift >= 0; shift -= 4) into[end++] = HEX[(group >>> shift) & 15] ?? 0;
  }
  return end;
}

/**
 * Writes the 16 bytes of an address to `into` at `at`; false (and undefined bytes there) when the text is no address.
 */
export function readAddress(text: string, into: Uint8Array, at: number): boolean {
  const { length } = text;
  if (length > TEXT_MAX) return false;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return false;
    TEXT[i] = code;
  }
  return readAddressText(TEXT, 0, length, into, at);
}

/** The same of ASCII from `from` to `to`. */
export function readAddressText(text: Uint8Array, from: number, to: number, into: Uint8Array, at: number): boolean {
  if (to - from > TEXT_MAX) return false;
  for (let i = from; i < to; i++) if (text[i] === COLON) return readV6(text, from, to, into, at);
  return readV4Mapped(text, from, to, into, at);
}

function readV4Mapped(text: Uint8Array, from: number, to: number, into: Uint8Array, at: number): boolean {
  into.fill(0, at, at + 10);
  into[at + 10] = 0xff;
  into[at + 11] = 0xff;
  return readV4(text, from, to, into, at + 12);
}

function readV4(text: Uint8Array, from: number, to: number, into: Uint8Array, at: number): boolean {
  let byte = 0;
  let digitCount = 0;
  let dotCount = 0;
  for (let i = from; i < to; i++) {
    const code = text[i] ?? 0;
    if (code === DOT) {
      if (digitCount === 0 || dotCount === 3) return false;
      into[at + dotCount] = byte;
      dotCount += 1;
      byte = 0;
      digitCount = 0;
      continue;
    }
    if (code < ZERO || code > ZERO + 9) return false;
    if (digitCount > 0 && byte === 0) return false; // "010" may mean octal
    byte = byte * 10 + (code - ZERO);
    digitCount += 1;
    if (byte > 255) return false;
  }
  if (dotCount !== 3 || digitCount === 0) return false;
  into[at + 3] = byte;
  return true;
}

function readV6(text: Uint8Array, from: number, end: number, into: Uint8Array, at: number): boolean {
  const intoEnd = at + ADDRESS_SIZE;
  let to = at;
  let gapAt = -1; // where "::" stands
  let i = from;
  if (text[i] === COLON && i + 1 < end && text[i + 1] === COLON) {
    gapAt = at;
    i += 2;
  }
  while (i < end) {
    let group = 0;
    let digitCount = 0;
    const start = i;
    for (; i < end; i++) {
      const digit = hexDigit(text[i] ?? 0);
      if (digit < 0) break;
      group = (group << 4) | digit;
      digitCount += 1;
      if (digitCount > 4) return false;
    }
    if (i < end && text[i] === DOT) {
      if (to + 4 > intoEnd || !readV4(text, start, end, into, to)) return false;
      to += 4;
      i = end;
      break;
    }
    if (digitCount === 0 || to + 2 > intoEnd) return false;
    into[to] = group >>> 8;
    into[to + 1] = group & 0xff;
    to += 2;
    if (i === end) break;
    if (text[i] !== COLON) return false;
    i += 1;
    if (i === end) return false;
    if (text[i] === COLON) {
      if (gapAt >= 0) return false;
      gapAt = to;
      i += 1;
    }
  }
  if (gapAt < 0) return to === intoEnd;
  if (to + 2 > intoEnd) return false; // "::" stands for at least one group
  into.copyWithin(intoEnd - (to - gapAt), gapAt, to);
  into.fill(0, gapAt, intoEnd - (to - gapAt));
  return true;
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= ZERO + 9) return code - ZERO;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
