// The engine against its slow twin on random and mutated packets: the same bytes out, the same counters, the same flow
// table, and no trap.
import { expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { EngineFixture } from "./engine-fixture.ts";
import { engineFlows, twinFlows } from "./engine-flows.ts";
import { Random, repeatsOneSeed, seeds } from "./random.ts";
import type { CountName } from "./reference/counts.ts";
import type { TwinFlow } from "./reference/flows.ts";
import { SITUATIONS, type Situation } from "./reference/situations.ts";
import { Traffic } from "./traffic.ts";
import { TrafficEvents } from "./traffic-events.ts";
import { TrafficWorld } from "./traffic-world.ts";
import { RANGES, THIS_NODE } from "./world.ts";

const TIMEOUTS_MS = {
  udpUnreplied: 1600,
  udpStream: 4800,
  tcpOpening: 2400,
  tcpEstablished: 10_000,
  tcpHalfClosed: 3200,
  tcpClosed: 400,
};
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
  const shares = {
    mutated: 0.15 + 0.1 * (seed % 3),
    superPackets: 0.05,
    large: 0.06,
    syns: 0.03,
    otherKinds: 0.1,
    errors: 0.06,
    fragments: 0.1,
    classes: 0.3,
    runs: 0.06,
  };
  const world = new TrafficWorld(random, THIS_NODE);
  const traffic = new Traffic(random, world, shares);
  const fixture = await EngineFixture.create({
    nodeId: THIS_NODE,
    ranges: RANGES,
    tables: world.tables(),
    memory: {
      capacities: { flows: FLOWS, addresses: 1024, instances: 1024, workloads: 256, nodes: 64, workers: 1 },
      timeoutsMs: TIMEOUTS_MS,
      hashSeed: random.u32(),
      answers:
        HeaderLayout.ANSWER_WITH_ICMP |
        HeaderLayout.ANSWER_WITH_RESET |
        HeaderLayout.CLAMP_MSS |
        HeaderLayout.ANSWER_LOST |
        HeaderLayout.ANSWER_LOST_WITH_RESET,
      tunMtu: 1300,
      park: { timeoutMs: 1500, packets: 6, bytes: 12_000 },
      // What was joined for the TUN must fall apart into the same packets.
      offloads:
        seed % 2 === 0
          ? HeaderLayout.OFFLOAD_UDP_GSO
          : HeaderLayout.OFFLOAD_UDP_GSO | HeaderLayout.OFFLOAD_TUN_TCP | HeaderLayout.OFFLOAD_TUN_UDP,
    },
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
      fixture.advance(random.below(40) * random.below(2));
      if (batch % 5 === 4) await events.next();
      if (batch % 40 === 39) fixture.sweep();
      if (batch % 700 === 699) events.pause();
      if (batch % 100 === 99) {
        for (let i = random.between(1, 4); i > 0; i--) world.change();
        fixture.acceptStrangers(batch % 1000 >= 700);
        await fixture.apply(world.tables());
      }
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
