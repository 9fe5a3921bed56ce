// The host places keys where the engine looks for them: both hashes agree bit for bit.
import { expect, test } from "vitest";
import { addressHash } from "../../src/memory/hash.ts";
import { createSharedMemory } from "../../src/memory/shared-memory.ts";
import { Random, testSeed } from "../support/random.ts";
import { bytes } from "../support/source-files.ts";

interface Probe {
  attach(worker: number, memoryBase: bigint): void;
  hashAddress(keyAt: number): number;
}

const KEY_AT = 64; // below the header: the engine never uses it
const HASHES_PER_SEED = 2000;

test.each([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, testSeed(20250)])("address hash, seed %i", (hashSeed) => {
  const shared = createSharedMemory({ capacities: { flows: 64, addresses: 64, instances: 64 }, hashSeed });
  const module = new WebAssembly.Module(bytes("dist/wasm/probe.wasm"));
  const { exports } = new WebAssembly.Instance(module, {
    env: { memory: shared.memory },
    policy: { choose: () => -1 },
  });
  const probe = exports as unknown as Probe;
  probe.attach(0, 0n);

  const random = new Random(hashSeed);
  const words = shared.u32.subarray(KEY_AT / 4, KEY_AT / 4 + 4);
  const different: string[] = [];
  for (let i = 0; i < HASHES_PER_SEED; i++) {
    words.forEach((_, at) => {
      // Every eighth word is one of the ends of the range.
      words[at] = random.chance(0.125) ? random.pick([0, 1, 0x80000000, 0xffffffff]) : random.u32();
    });
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = words;
    const host = addressHash(hashSeed, w0, w1, w2, w3);
    const engine = probe.hashAddress(KEY_AT) >>> 0;
    if (host !== engine) different.push(`${[...words].map((word) => word.toString(16))}: ${host} is not ${engine}`);
  }
  expect(different).toEqual([]);
});
