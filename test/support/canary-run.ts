// One run of the canary fuzz, as a test: it has to reach what it is about.
import { expect } from "vitest";
import { fuzz } from "./canary-fuzz.ts";
import { loadEngineModule } from "./engine-fixture.ts";
import type { CountName } from "./reference/counts.ts";

/** What the traffic of every seed must have led to, or it tests less than it seems to. */
const REACHED: readonly CountName[] = [
  ...(["egressPackets", "ingressPackets", "localPackets", "fragmentsHeld", "packetsFragmented"] as const),
  ...(["icmpErrorsSent", "mssClamped", "packetsParked", "probesSent", "probesAnswered"] as const),
  ...(["egressDrop.notTranslatable", "ingressDrop.notTranslatable", "ingressDrop.badHeaderChecksum"] as const),
];

/** The same of a long run. */
const REACHED_IN_TIME: readonly CountName[] = [...REACHED, "resetsSent"];
const LONG = 500_000;

export async function expectNoForeignBytes(seed: number, packets: number): Promise<void> {
  const { packetsIn, packetsOut, counts } = await fuzz({ module: await loadEngineModule(), seed, packets });
  expect(packetsIn).toBe(packets);
  expect(packetsOut).toBeGreaterThan(packets / 4);
  expect((packets < LONG ? REACHED : REACHED_IN_TIME).filter((name) => counts[name] === undefined)).toEqual([]);
}
