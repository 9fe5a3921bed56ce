// The byte that IPv4 calls TOS and IPv6 traffic class: DSCP (RFC 2474) and ECN (RFC 3168 section 5), in both families
// at the same bits. In IPv6 it lies across two bytes.
//    0 version|IHL  1 TOS           0 version|class, upper half  1 class, lower half|flow label

import * as Ecn from "../shared/ecn.ts";

/** Of the IP packet at `at`. */
export function trafficClassAt(at: usize): u32 {
  const start: u32 = bswap<u16>(load<u16>(at));
  return start >>> 12 == 4 ? start & 0xff : (start >>> 4) & 0xff;
}

/**
 * In the first two bytes of the IP packet at `at`, as load<u16>() reads them: the version, and these bits of the class.
 */
export function startMask(at: usize, bits: u32): u32 {
  const isIpv4 = load<u8>(at) >>> 4 == 4;
  return 0xf0 | (isIpv4 ? bits << 8 : (bits >>> 4) | ((bits & 15) << 12));
}

/** Sets the ECN field of the IP packet at `at`, but not the checksum of an IPv4 header. */
export function setEcn(at: usize, ecn: u32): void {
  const start: u32 = bswap<u16>(load<u16>(at));
  const shift: u32 = start >>> 12 == 4 ? 0 : 4;
  store<u16>(at, bswap<u16>(<u16>((start & ~(Ecn.MASK << shift)) | (ecn << shift))));
}
