// Incremental update (RFC 1624, equation 3): HC' = ~(~HC + ~m + m'). The part ~m + m' of a rewrite is computed once
// per flow and kept folded as its delta; applying it costs one addition. A checksum that was wrong stays wrong.

import { foldWords, sumAddress } from "./sum.ts";

/** Delta of replacing one 16-byte address (v4: v4-mapped, whose prefix cancels out) by another. */
export function addressDelta(from: v128, to: v128): u64 {
  return sumAddress(v128.not(from)) + sumAddress(to);
}

/** Delta of replacing one 16-bit word. */
export function wordDelta(from: u16, to: u16): u32 {
  return <u32>(<u16>~from) + <u32>to;
}

/** Delta of replacing two ports, each 16 bits of one word. */
export function portsDelta(from: u32, to: u32): u32 {
  return wordDelta(<u16>from, <u16>to) + wordDelta(<u16>(from >>> 16), <u16>(to >>> 16));
}

/** The checksum after a change with this delta. */
export function update(checksum: u16, delta: u32): u16 {
  return <u16>~foldWords(<u32>(<u16>~checksum) + delta);
}

/** The same for a field that holds a partial sum, not a checksum (VIRTIO_NET_HDR_F_NEEDS_CSUM). */
export function updatePartial(partial: u16, delta: u32): u16 {
  return <u16>foldWords(<u32>partial + delta);
}
