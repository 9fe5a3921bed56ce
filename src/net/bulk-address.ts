// Addresses of whole tables: a configuration of a million instances has four million of them, and as many flows may be
// listed. Each function does what its namesake in address.ts does through ipaddr.js, in a fraction of the time: `npm
// run bench -- --only "address text"` compares them, bench/README.md has the figures, and a test holds both to the same
// results. Whatever is no table uses address.ts.

import { ADDRESS_SIZE, isV4Mapped } from "./address.ts";

const GROUP_COUNT = 8; // of 16 bits, in the text of an IPv6 address

/** The canonical text of an address, or undefined when it is none. A v4-mapped address is the IPv4 address. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = new Uint8Array(ADDRESS_SIZE);
  return readAddress(text, bytes, 0) ? formatAddress(bytes) : undefined;
}

/** Canonical text of the 16 bytes at `at`. */
export function formatAddress(bytes: Uint8Array, at = 0): string {
  if (isV4Mapped(bytes, at)) return `${bytes[at + 12]}.${bytes[at + 13]}.${bytes[at + 14]}.${bytes[at + 15]}`;
  return formatV6(bytes, at);
}

/**
 * RFC 5952: lower case, no leading zeros, "::" for the first of the longest runs of two or more zero groups (section
 * 4.2).
 */
function formatV6(bytes: Uint8Array, at: number): string {
  const group = (index: number): number => ((bytes[at + 2 * index] ?? 0) << 8) | (bytes[at + 2 * index + 1] ?? 0);
  let runAt = GROUP_COUNT;
  let runLength = 1;
  for (let index = 0, zeros = 0; index < GROUP_COUNT; index++) {
    zeros = group(index) === 0 ? zeros + 1 : 0;
    if (zeros > runLength) {
      runLength = zeros;
      runAt = index + 1 - zeros;
    }
  }
  let text = "";
  for (let index = 0; index < GROUP_COUNT; index++) {
    if (index === runAt) {
      text += "::";
      index += runLength - 1;
    } else {
      text += text === "" || text.endsWith(":") ? group(index).toString(16) : `:${group(index).toString(16)}`;
    }
  }
  return text;
}

/**
 * Writes the 16 bytes of an address to `into` at `at`; false (and undefined bytes there) when the text is no address.
 */
export function readAddress(text: string, into: Uint8Array, at: number): boolean {
  return text.includes(":") ? readV6(text, into, at) : readV4Mapped(text, into, at);
}

function readV4Mapped(text: string, into: Uint8Array, at: number): boolean {
  into.fill(0, at, at + 10);
  into[at + 10] = 0xff;
  into[at + 11] = 0xff;
  return readV4(text, 0, into, at + 12);
}

function readV4(text: string, from: number, into: Uint8Array, at: number): boolean {
  let byte = 0;
  let digitCount = 0;
  let dotCount = 0;
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (digitCount === 0 || dotCount === 3) return false;
      into[at + dotCount] = byte;
      dotCount += 1;
      byte = 0;
      digitCount = 0;
      continue;
    }
    if (code < 0x30 || code > 0x39) return false;
    if (digitCount > 0 && byte === 0) return false; // "010" may mean octal
    byte = byte * 10 + (code - 0x30);
    digitCount += 1;
    if (byte > 255) return false;
  }
  if (dotCount !== 3 || digitCount === 0) return false;
  into[at + 3] = byte;
  return true;
}

function readV6(text: string, into: Uint8Array, at: number): boolean {
  const end = at + ADDRESS_SIZE;
  let to = at;
  let gapAt = -1; // where "::" stands
  let i = 0;
  if (text.startsWith("::")) {
    gapAt = at;
    i = 2;
  }
  while (i < text.length) {
    let group = 0;
    let digitCount = 0;
    const start = i;
    for (; i < text.length; i++) {
      const digit = hexDigit(text.charCodeAt(i));
      if (digit < 0) break;
      group = (group << 4) | digit;
      digitCount += 1;
      if (digitCount > 4) return false;
    }
    if (text[i] === ".") {
      if (to + 4 > end || !readV4(text, start, into, to)) return false;
      to += 4;
      i = text.length;
      break;
    }
    if (digitCount === 0 || to + 2 > end) return false;
    into[to] = group >>> 8;
    into[to + 1] = group & 0xff;
    to += 2;
    if (i === text.length) break;
    if (text[i] !== ":") return false;
    i += 1;
    if (text[i] === ":") {
      if (gapAt >= 0) return false;
      gapAt = to;
      i += 1;
    } else if (i === text.length) {
      return false;
    }
  }
  if (gapAt < 0) return to === end;
  if (to + 2 > end) return false; // "::" stands for at least one group
  into.copyWithin(end - (to - gapAt), gapAt, to);
  into.fill(0, gapAt, end - (to - gapAt));
  return true;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
