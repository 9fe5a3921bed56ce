// No byte that leaves comes from anywhere but the packet in hand and its new headers, whatever the packets are. `npm run
// fuzz` tries many more. SAPWOOD_TEST_SEED=n repeats one seed.
import { expect, test } from "vitest";
import { fuzz } from "../support/canary-fuzz.ts";
import { loadEngineModule } from "../support/engine-fixture.ts";
import { testSeed } from "../support/random.ts";
import type { CountName } from "../support/reference/counts.ts";

const PACKETS_PER_SEED = 40_000;
/** What the traffic of every seed must have led to, or it tests less than it seems to. */
const REACHED: readonly CountName[] = [
  ...(["egressPackets", "ingressPackets", "localPackets", "fragmentsHeld", "packetsFragmented"] as const),
  ...(["icmpErrorsSent", "resetsSent", "mssClamped", "packetsParked", "probesSent", "probesAnswered"] as const),
  ...(["egressDrop.notTranslatable", "ingressDrop.notTranslatable", "ingressDrop.badHeaderChecksum"] as const),
];

const seeds = process.env["SAPWOOD_TEST_SEED"] === undefined ? [1, 2, 3, 4] : [testSeed(1)];

test.each(seeds)("two engines with other bytes in their free memory send the same, seed %i", async (seed) => {
  const { packetsIn, packetsOut, counts } = await fuzz({
    module: await loadEngineModule(),
    seed,
    packets: PACKETS_PER_SEED,
  });
  expect(packetsIn).toBe(PACKETS_PER_SEED);
  expect(packetsOut).toBeGreaterThan(PACKETS_PER_SEED / 4);
  expect(REACHED.filter((name) => counts[name] === undefined)).toEqual([]);
});
