// The host places keys where the engine looks for them: both hashes agree bit for bit, and with the definition.
import { expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { addressHash } from "../../src/memory/hash.ts";
import { createSharedMemory, type SharedMemory } from "../../src/memory/shared-memory.ts";
import { Random, testSeed } from "../support/random.ts";
import { bytes } from "../support/source-files.ts";

interface Workbench {
  attach(worker: number, memoryBase: bigint): void;
  hashAddress(keyAt: number): number;
}

const KEY_AT = 64; // below the header: the engine never uses it
const HASHES_PER_SEED = 2000;

const SEEDS = [0, 1, 2, testSeed(20250)];

test.each([...SEEDS, "ones"] as const)("address hash, key of %s", (name) => {
  const hashSeed = name === "ones" ? 0 : name;
  const shared = createSharedMemory({ capacities: { flows: 64, addresses: 64, instances: 64 }, hashSeed });
  // The largest numbers: all carries happen.
  if (name === "ones") shared.addressHashKey.fill(0xffffffff);
  const module = new WebAssembly.Module(bytes("dist/wasm/workbench.wasm"));
  const { exports } = new WebAssembly.Instance(module, {
    env: { memory: shared.memory },
    policy: { choose: () => -1 },
  });
  const workbench = exports as unknown as Workbench;
  workbench.attach(0, 0n);

  const random = new Random(hashSeed);
  const words = shared.u32.subarray(KEY_AT / 4, KEY_AT / 4 + 4);
  const different: string[] = [];
  for (let i = 0; i < HASHES_PER_SEED; i++) {
    words.forEach((_, at) => {
      // Every eighth word is one of the ends of the range.
      words[at] = random.chance(0.125) ? random.pick([0, 1, 0x80000000, 0xffffffff]) : random.u32();
    });
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = words;
    const host = addressHash(shared.addressHashKey, w0, w1, w2, w3);
    const engine = workbench.hashAddress(KEY_AT) >>> 0;
    const defined = byDefinition(shared, [w0, w1, w2, w3]);
    if (host !== engine || host !== defined)
      different.push(`${[...words].map((word) => word.toString(16))}: ${host}, ${engine}, ${defined}`);
  }
  expect(different).toEqual([]);
});

/** Multilinear-HM (Lemire, Kaser 2014): m0 + (m1 + s1)(m2 + s2) + (m3 + s3)(m4 + s4) modulo 2^64, its upper 32 bits. */
function byDefinition(shared: SharedMemory, words: readonly number[]): number {
  const m = new BigUint64Array(
    shared.memory.buffer,
    HeaderLayout.AT + HeaderLayout.ADDRESS_HASH_KEY,
    HeaderLayout.ADDRESS_HASH_KEY_WORDS,
  );
  const [m0 = 0n, m1 = 0n, m2 = 0n, m3 = 0n, m4 = 0n] = m;
  const [s1 = 0n, s2 = 0n, s3 = 0n, s4 = 0n] = words.map(BigInt);
  return Number(BigInt.asUintN(64, m0 + (m1 + s1) * (m2 + s2) + (m3 + s3) * (m4 + s4)) >> 32n);
}
