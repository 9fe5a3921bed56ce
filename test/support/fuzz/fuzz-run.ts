// One round of mutants through the engine, as a test: it has to reach what it is about.
import { expect } from "vitest";
import { loadEngineModule } from "../engine-fixture.ts";
import type { CountName } from "../reference/counts.ts";
import { fuzzEngine } from "./engine-fuzz.ts";

/** What the mutants of every seed must have led to, or they test less than they seem to. */
const REACHED: readonly CountName[] = [
  ...(["egressPackets", "ingressPackets", "localPackets", "flowsOpened", "flowsExpired", "fragmentsHeld"] as const),
  ...(["packetsParked", "icmpErrorsSent", "portsRewritten", "probesAnswered", "packetsFragmented"] as const),
  ...(["badOffload", "badExtensionHeader", "holdFull", "notTranslatable"] as const).map(
    (name) => `egressDrop.${name}` as const,
  ),
  ...(["badIcmpError", "badProbe", "wrongNode", "balancedSource", "notTranslatable"] as const).map(
    (name) => `ingressDrop.${name}` as const,
  ),
];
const FEATURES_MIN = 700;

export async function expectCleanRound(seed: number, packets: number): Promise<void> {
  const { packetsIn, packetsJudged, features, counts } = await fuzzEngine(await loadEngineModule(), seed, packets);
  expect(packetsIn).toBeGreaterThanOrEqual(packets);
  expect(packetsJudged).toBeGreaterThan(packets / 1000);
  expect(features).toBeGreaterThan(FEATURES_MIN);
  expect(REACHED.filter((name) => counts[name] === undefined)).toEqual([]);
}
