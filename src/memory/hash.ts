// The hash that places addresses in the address and workload tables: the host's twin of assembly/table/hash.ts, which
// finds them there and says what it promises. Both must agree bit for bit.

/**
 * Hash of the four little-endian words of an address. `key` holds the words of HeaderLayout.ADDRESS_HASH_KEY, the lower
 * half of each first. A number is a double, so that numbers of 64 bits are handled in halves.
 */
export function addressHash(key: Uint32Array, w0: number, w1: number, w2: number, w3: number): number {
  const [lower = 0, upper = 0] = key;
  const [lower1, upper1] = product(key, 2, w0, w1);
  const [lower2, upper2] = product(key, 6, w2, w3);
  const carry = Math.floor((lower + lower1 + lower2) / 2 ** 32);
  return (upper + upper1 + upper2 + carry) >>> 0;
}

/** Halves of the product of two words, each added to one of the two keys from `at` on. */
function product(key: Uint32Array, at: number, a: number, b: number): [lower: number, upper: number] {
  const aSum = (key[at] as number) + a;
  const aUpper = (key[at + 1] as number) + (aSum >= 2 ** 32 ? 1 : 0);
  const bSum = (key[at + 2] as number) + b;
  const bUpper = (key[at + 3] as number) + (bSum >= 2 ** 32 ? 1 : 0);
  const aLower = aSum >>> 0;
  const bLower = bSum >>> 0;
  const crossed = Math.imul(aUpper, bLower) + Math.imul(aLower, bUpper);
  return [Math.imul(aLower, bLower) >>> 0, (upperHalf(aLower, bLower) + crossed) >>> 0];
}

/** Upper half of the product of two numbers of 32 bits, from products that a double holds. */
function upperHalf(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = ((a0 * b0) >>> 16) + ((a1 * b0) & 0xffff) + ((a0 * b1) & 0xffff);
  return a1 * b1 + ((a1 * b0) >>> 16) + ((a0 * b1) >>> 16) + (middle >>> 16);
}
