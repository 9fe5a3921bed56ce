// The flow table against a Map, through the engine's doors: a packet finds its flow or opens one, time ends some, and
// a full table ends others.
import { describe, expect, test } from "vitest";
import { FlowState } from "../../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import type { EngineFixture } from "../../support/engine-fixture.ts";
import { clientPorts, engineFlows } from "../../support/engine-flows.ts";
import { nth } from "../../support/given.ts";
import { udpPacket } from "../../support/packet-builder.ts";
import { expectAtMost, expectSame } from "../../support/quick-expect.ts";
import { Random, testSeed } from "../../support/random.ts";
import { A1, onNodeA, ROUND_ROBIN } from "../../support/world.ts";

const TIMEOUT_MS = 1000;

interface Table {
  readonly fixture: EngineFixture;
  readonly frames: readonly Uint8Array[];
  /** Client port -> when its flow was used last. */
  readonly model: Map<number, number>;
}

async function table(flows: number, portCount: number): Promise<Table> {
  const fixture = await onNodeA({
    withoutTwin: true,
    memory: {
      capacities: { flows, addresses: 64, instances: 64, workloads: 16, nodes: 8, workers: 1 },
      timeoutsMs: { udpUnreplied: TIMEOUT_MS },
    },
  });
  const frames = Array.from({ length: portCount }, (_, i) =>
    udpPacket(A1.v6, ROUND_ROBIN.b.v6, i + 1, 53, "q").frame(),
  );
  return { fixture, frames, model: new Map() };
}

/** Client ports of the flows that are in the engine's table. */
function livePorts(fixture: EngineFixture): Set<number> {
  const ports = clientPorts(fixture.shared);
  const counted = fixture.io.view.getUint32(HeaderLayout.AT + HeaderLayout.FLOW_COUNT, true);
  expectSame(ports.length, counted, "flows counted in the header");
  const live = new Set(ports);
  expectSame(live.size, ports.length, "flows, each once in the table");
  return live;
}

/** Sends a packet of a port's flow and holds the outcome against the model. */
function send({ fixture, frames, model }: Table, port: number): void {
  const { counts } = fixture.egress(nth(frames, port - 1));
  expectSame(counts.egressPackets, 1, "packets that left");
  expectSame(counts.flowsOpened ?? 0, model.has(port) ? 0 : 1, `flows opened for port ${port}`);
  model.set(port, fixture.nowMs);
  if (counts.flowsEvicted === undefined) return;
  const live = livePorts(fixture);
  const evicted = [...model.keys()].filter((one) => !live.has(one));
  expectSame(evicted.length, counts.flowsEvicted, "evicted flows");
  expectSame(evicted.includes(port), false, "the packet's own flow is evicted");
  for (const one of evicted) model.delete(one);
}

function sweep({ fixture, model }: Table): void {
  const idle = [...model].filter(([, usedMs]) => fixture.nowMs - usedMs >= TIMEOUT_MS).map(([port]) => port);
  expect(fixture.sweep().counts.flowsExpired ?? 0, "expired flows").toBe(idle.length);
  for (const port of idle) model.delete(port);
}

describe("the flow table is a map", () => {
  test("with room for all: every flow is found until it is idle for too long", async () => {
    const one = await table(4096, 2000);
    const random = new Random(testSeed(51));
    for (let step = 0; step < 30_000; step++) {
      send(one, random.between(1, 2000));
      if (random.chance(0.05)) one.fixture.advance(random.below(40));
      if (random.chance(0.005)) sweep(one);
    }
    expect(livePorts(one.fixture)).toEqual(new Set(one.model.keys()));
    expect(one.fixture.countsSinceStart().flowsEvicted).toBeUndefined();
  });

  test("without room for all: what is evicted is gone, what is not is found", async () => {
    const one = await table(128, 400);
    const random = new Random(testSeed(52));
    for (let step = 0; step < 8000; step++) {
      send(one, random.between(1, 400));
      one.fixture.advance(1);
      if (random.chance(0.01)) sweep(one);
      expectAtMost(one.model.size, 128, "flows");
    }
    expect(livePorts(one.fixture)).toEqual(new Set(one.model.keys()));
    expect(one.fixture.countsSinceStart().flowsEvicted).toBeGreaterThan(1000);
  });

  test("eviction takes flows that were not used for long", async () => {
    const one = await table(256, 65_000);
    for (let port = 1; port <= 65_000; port++) {
      one.fixture.advance(1);
      send(one, port);
      if (port > 300) send(one, port - 1); // a flow in use
      if (port === 3000) break;
    }
    const ages = [...one.model.values()].map((usedMs) => one.fixture.nowMs - usedMs);
    expect(Math.max(...ages)).toBeLessThan(4 * 256);
  });

  test("the smallest table holds one flow at a time", async () => {
    const one = await table(1, 10);
    for (let round = 0; round < 50; round++) send(one, 1 + (round % 10));
    expect(one.model.size).toBe(1);
    expect(engineFlows(one.fixture.shared)[0]).toContain(FlowState[FlowState.udpUnreplied]);
  });
});
