// The engine against its slow twin on random and mutated packets: the same bytes out, the same counters, the same flow
// table, and no trap.
import { expect, test } from "vitest";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { EngineFixture } from "./engine-fixture.ts";
import { engineFlows, twinFlows } from "./engine-flows.ts";
import { Random, repeatsOneSeed, seeds } from "./random.ts";
import type { CountName } from "./reference/counts.ts";
import type { TwinFlow } from "./reference/flows.ts";
import { SITUATIONS, type Situation } from "./reference/situations.ts";
import { ALL_KINDS, Traffic } from "./traffic.ts";
import { TrafficEvents } from "./traffic-events.ts";
import { trafficMemory } from "./traffic-memory.ts";
import { TrafficWorld } from "./traffic-world.ts";
import { RANGES, THIS_NODE } from "./world.ts";

const FLOWS = 32_768;
const PARSER_REASONS = [
  ...(["notIp", "truncatedHeader", "badHeaderLength", "badTotalLength", "badExtensionHeader"] as const),
  ...([
    "truncatedTransport",
    "badTransportLength",
    "unsupportedIcmp",
    "badIcmpError",
    "portZero",
    "fragmentOrphan",
    "holdFull",
  ] as const),
];

/** What the traffic must have led to, or it tests less than it seems to. */
const REACHED: readonly CountName[] = [
  ...(["egressPackets", "ingressPackets", "localPackets", "flowsOpened", "flowsExpired", "flowsRechosen"] as const),
  ...(["flowsRestarted", "portsRewritten", "policyChoices", "policyFallbacks", "probesAnswered"] as const),
  ...PARSER_REASONS.flatMap((name) => [`egressDrop.${name}`, `ingressDrop.${name}`] as const),
  ...(["truncatedFrame", "badOffload", "notServiceAddress", "unknownWorkload"] as const).map(
    (name) => `egressDrop.${name}` as const,
  ),
  ...(["ecnMarked", "ingressDrop.congestionExperienced"] as const),
  ...(["unknownAddress", "noAddressOfFamily"] as const).map((name) => `egressDrop.${name}` as const),
  ...(["unrelatedError", "notTranslatable"] as const).flatMap(
    (name) => [`egressDrop.${name}`, `ingressDrop.${name}`] as const,
  ),
  ...(["fragmentsHeld", "ingressDrop.badHeaderChecksum"] as const),
  ...(
    ["emptyDatagram", "truncatedFrame", "notLocalDestination", "notServiceSource", "wrongNode", "badProbe"] as const
  ).map((name) => `ingressDrop.${name}` as const),
  ...(["unknownNode", "balancedSource", "unknownSource"] as const).map((name) => `ingressDrop.${name}` as const),
];

/** Throws the first difference, else tells what the traffic led to. The same seed, the same packets. */
async function compareWithTwin(seed: number, packets: number): Promise<ReadonlySet<CountName | Situation>> {
  const random = new Random(seed);
  const shares = { ...ALL_KINDS, mutated: 0.15 + 0.1 * (seed % 3) };
  const world = new TrafficWorld(random, THIS_NODE);
  const traffic = new Traffic(random, world, shares);
  const fixture = await EngineFixture.create({
    nodeId: THIS_NODE,
    ranges: RANGES,
    tables: world.tables(),
    // What was joined for the TUN must fall apart into the same packets.
    memory: trafficMemory(seed, FLOWS, random),
    // Mostly right, sometimes no answer, sometimes nonsense.
    policy: ({ candidates }) => (random.chance(0.95) ? random.below(candidates.length) : random.between(-2, 100)),
  });
  const events = new TrafficEvents(random, world, fixture);
  let sample: TwinFlow[] = [];
  let packetCount = 0;
  try {
    for (let batch = 0; packetCount < packets; batch++) {
      if (batch % 8 === 0) sample = [...(fixture.twin?.flows.values() ?? [])];
      if (batch % 2 === 0) fixture.egress(...traffic.frames(WorkerLayout.BATCH_SIZE, sample));
      else fixture.ingress(...traffic.messages(WorkerLayout.BATCH_SIZE, sample));
      packetCount += WorkerLayout.BATCH_SIZE;
      await events.follow(batch);
      if (batch % 500 === 499) {
        expect(engineFlows(fixture.shared)).toEqual(twinFlows(fixture.twin?.flows.values() ?? []));
      }
    }
  } catch (error) {
    throw new Error(`seed ${seed}, after ${packetCount} packets: SAPWOOD_TEST_SEED=${seed} repeats it`, {
      cause: error,
    });
  }
  const moved = fixture.countsSinceStart();
  return new Set([...REACHED.filter((name) => moved[name] !== undefined), ...(fixture.twin?.met.keys() ?? [])]);
}

/** Compares on the traffic of some seeds. Together they must meet everything; one that is repeated need not. */
export function testAgainstTwin(first: number, last: number, packets: number): void {
  const met = new Set<CountName | Situation>();
  test.each(seeds(first, last))(
    `engine and twin agree on ${packets.toLocaleString("en")} packets of seed %i`,
    async (seed) => {
      for (const one of await compareWithTwin(seed, packets)) met.add(one);
    },
  );
  if (repeatsOneSeed()) return;
  test("their traffic met every situation", () => {
    expect([...REACHED, ...SITUATIONS].filter((one) => !met.has(one))).toEqual([]);
  });
}
