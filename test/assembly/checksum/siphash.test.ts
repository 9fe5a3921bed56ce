import { expect, test } from "vitest";
import { Random, testSeed } from "../../support/random.ts";
import { loadWorkbench } from "../../support/workbench.ts";

const MASK = 2n ** 64n - 1n;

/** The paper's description, word for word, for a message of 16 bytes. */
function sipHash(k0: bigint, k1: bigint, words: readonly [bigint, bigint]): bigint {
  const v = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ] as [bigint, bigint, bigint, bigint];
  const rotate = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (64n - by))) & MASK;
  const rounds = (count: number): void => {
    for (let i = 0; i < count; i++) {
      v[0] = (v[0] + v[1]) & MASK;
      v[1] = rotate(v[1], 13n) ^ v[0];
      v[0] = rotate(v[0], 32n);
      v[2] = (v[2] + v[3]) & MASK;
      v[3] = rotate(v[3], 16n) ^ v[2];
      v[0] = (v[0] + v[3]) & MASK;
      v[3] = rotate(v[3], 21n) ^ v[0];
      v[2] = (v[2] + v[1]) & MASK;
      v[1] = rotate(v[1], 17n) ^ v[2];
      v[2] = rotate(v[2], 32n);
    }
  };
  for (const word of [...words, 16n << 56n]) {
    v[3] ^= word;
    rounds(2);
    v[0] ^= word;
  }
  v[2] ^= 0xffn;
  rounds(4);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

test("SipHash-2-4 of 16 bytes is the published one, and that of random keys and messages the slow twin's", async () => {
  const { exports, shared, scratchAt } = await loadWorkbench();
  const hash = (key: Uint8Array, message: Uint8Array): bigint => {
    shared.bytes.set(key, scratchAt);
    shared.bytes.set(message, scratchAt + 16);
    return BigInt.asUintN(64, exports.hashSip(scratchAt, scratchAt + 16));
  };
  // vectors_sip64 of the reference implementation, for the 16 bytes 0...15
  const counting = Uint8Array.from({ length: 16 }, (_, i) => i);
  expect(hash(counting, counting)).toBe(0x3f2acc7f57c29bdbn);
  const random = new Random(testSeed(1));
  for (let i = 0; i < 1000; i++) {
    const [key, message] = [random.bytes(16), random.bytes(16)];
    const words = (bytes: Uint8Array) =>
      [
        new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true),
        new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(8, true),
      ] as const;
    expect(hash(key, message)).toBe(sipHash(...words(key), [...words(message)]));
  }
});
