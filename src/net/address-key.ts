// Addresses as keys of sets and maps: their 16 bytes as a text, IPv4 as v4-mapped IPv6.

import { formatAddress, parseAddress } from "./address.ts";

const V4_MAPPED = `${"\0".repeat(10)}\xff\xff`;

/** Of the 16 bytes at `at`. */
export function addressKey(bytes: Uint8Array, at: number): string {
  return String.fromCharCode.apply(undefined, bytes.subarray(at, at + 16) as unknown as number[]);
}

/** Of the IPv4 address at `at`. */
export function mappedKey(bytes: Uint8Array, at: number): string {
  return V4_MAPPED + String.fromCharCode.apply(undefined, bytes.subarray(at, at + 4) as unknown as number[]);
}

/** Of a text; undefined: it is no address. */
export function keyOfText(address: string): string | undefined {
  const bytes = parseAddress(address);
  return bytes === undefined ? undefined : addressKey(bytes, 0);
}

export function textOfKey(key: string): string {
  return formatAddress(Buffer.from(key, "latin1"));
}
