// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash whose output says nothing about the key or about other
// outputs.

const BLOCKS_END: u64 = 0x1000000000000000; // the last block: the length of the message, 16, in its last byte
const ROUNDS_PER_BLOCK: u32 = 2;
const BLOCK_COUNT: u32 = 3;
const FINAL_ROUNDS: u32 = 4;

/** Of the 16 bytes `first`, `second` in little-endian order, under the 16-byte key at `keyAt`. */
export function sipHash(keyAt: usize, first: u64, second: u64): u64 {
  const k0 = load<u64>(keyAt);
  const k1 = load<u64>(keyAt, 8);
  let v0: u64 = k0 ^ 0x736f6d6570736575;
  let v1: u64 = k1 ^ 0x646f72616e646f6d;
  let v2: u64 = k0 ^ 0x6c7967656e657261;
  let v3: u64 = k1 ^ 0x7465646279746573;
  for (let block: u32 = 0; block <= BLOCK_COUNT; block++) {
    const isFinal = block == BLOCK_COUNT;
    const word: u64 = block == 0 ? first : block == 1 ? second : BLOCKS_END;
    if (isFinal) v2 ^= 0xff;
    else v3 ^= word;
    const rounds = isFinal ? FINAL_ROUNDS : ROUNDS_PER_BLOCK;
    for (let round: u32 = 0; round < rounds; round++) {
      v0 += v1;
      v2 += v3;
      v1 = rotl<u64>(v1, 13) ^ v0;
      v3 = rotl<u64>(v3, 16) ^ v2;
      v0 = rotl<u64>(v0, 32);
      v2 += v1;
      v0 += v3;
      v1 = rotl<u64>(v1, 17) ^ v2;
      v3 = rotl<u64>(v3, 21) ^ v0;
      v2 = rotl<u64>(v2, 32);
    }
    if (!isFinal) v0 ^= word;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}
