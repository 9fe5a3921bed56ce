// What the pseudo-header adds to a TCP or UDP checksum (RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1).

import { sumAddress } from "./sum.ts";

// The words of the v4-mapped prefix are 0xffff, which is zero in one's-complement arithmetic: the sum of
// two v4-mapped addresses stands for that of the two IPv4 addresses.

/** `length` is that of transport header and payload. */
export function pseudoHeaderSum(source: v128, destination: v128, protocol: u8, length: u32): u64 {
  return sumAddress(source) + sumAddress(destination) + ((<u64>protocol) << 8) + lengthSum(length);
}

/** The word that holds the length of transport header and payload, in the byte order of memory. */
export function lengthSum(length: u32): u64 {
  return bswap<u16>(<u16>length);
}
