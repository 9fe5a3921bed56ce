// The Internet checksum (RFC 1071): one's-complement sums of 16-bit words, in the byte order of memory, which
// does not matter as long as the result is stored the way it was loaded (section 2(B)).
// Sums are carried in 64 bits unfolded: none of our inputs can overflow them.

/** Folds a sum to 16 bits. Keeps 0 apart from 0xffff: only a sum of nothing but zeros is 0. */
export function fold(sum: u64): u32 {
  let folded = (sum >>> 32) + (sum & 0xffffffff);
  folded = (folded >>> 32) + (folded & 0xffffffff);
  return foldWords(<u32>folded);
}

/** The same for a sum of so few words that 32 bits hold it. */
export function foldWords(sum: u32): u32 {
  const folded = (sum >>> 16) + (sum & 0xffff);
  return (folded >>> 16) + (folded & 0xffff);
}

/** Sum of the `length` bytes at `at`; an odd last byte is padded with a zero byte behind it. */
export function sum(at: usize, length: u32): u64 {
  let total: u64 = 0;
  let rest = length;
  if (rest >= 64) {
    const blocks = rest & ~63;
    total = sumBlocks(at, blocks);
    at += blocks;
    rest -= blocks;
  }
  if (rest >= 16) {
    let lanes = i32x4.splat(0);
    do {
      lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
      at += 16;
      rest -= 16;
    } while (rest >= 16);
    total += sumLanes(lanes);
  }
  if (rest & 8) {
    total += <u64>load<u32>(at) + load<u32>(at, 4);
    at += 8;
  }
  if (rest & 4) {
    total += load<u32>(at);
    at += 4;
  }
  if (rest & 2) {
    total += load<u16>(at);
    at += 2;
  }
  if (rest & 1) total += load<u8>(at);
  return total;
}

/**
 * The same for whole 64-byte blocks: pairs of 16-bit lanes are added into 32-bit lanes, four accumulators wide.
 * A 32-bit lane takes 2 * 0xffff a block, so it cannot overflow within the 65,535 bytes of a packet.
 */
function sumBlocks(at: usize, length: u32): u64 {
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let c = i32x4.splat(0);
  let d = i32x4.splat(0);
  const end = at + length;
  while (at < end) {
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 16)));
    c = i32x4.add(c, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 32)));
    d = i32x4.add(d, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 48)));
    at += 64;
  }
  return sumLanes(i32x4.add(i32x4.add(a, b), i32x4.add(c, d)));
}

/** Sum of the eight 16-bit words of a 16-byte address. */
export function sumAddress(address: v128): u64 {
  return sumLanes(i32x4.extadd_pairwise_i16x8_u(address));
}

function sumLanes(lanes: v128): u64 {
  return (
    <u64>(<u32>i32x4.extract_lane(lanes, 0)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 1)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 2)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 3))
  );
}

/**
 * What a checksum of zero is sent as. RFC 768: zero means "no checksum". An ICMP echo has no pseudo-header: a reply of
 * nothing but zeros has ones as its checksum (RFC 1071), where an update by difference comes to zero (RFC 1624 section 3).
 */
export function orOnes(checksum: u16): u16 {
  return checksum == 0 ? 0xffff : checksum;
}
