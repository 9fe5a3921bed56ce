// A worker may end at any instruction. Here calls of the engine are broken off before any of their accesses to memory,
// thousands of times; after each the table is repaired and walked through: every lock is free, every record has one
// owner, both entries or none, and all counts are those of the flows that live. SAPWOOD_TEST_SEED=n repeats one seed.
import { expect, test } from "vitest";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { FlowTableRepair } from "../../src/memory/flow-repair.ts";
import { EngineFixture } from "../support/engine-fixture.ts";
import { EngineMemory } from "../support/engine-memory.ts";
import { interruptibleEngine } from "../support/interruptible-engine.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import { Random, testSeed } from "../support/random.ts";
import { inspectFlowTable } from "../support/reference/flow-table.ts";
import { A1, B1, B2, B3, C1, CLOSEST, FROM, RANGES, ROUND_ROBIN, THIS_NODE, world } from "../support/world.ts";

const KILLS = 3000;
const WORKERS = 3;
const FLOWS = 24;
const BATCH = 6;
const FLAGS = [FLAG.SYN, FLAG.ACK, FLAG.FIN | FLAG.ACK, FLAG.RST];

test(`${KILLS} calls that are broken off leave a table that can be repaired`, { timeout: 300_000 }, async () => {
  const random = new Random(testSeed(44));
  const fixture = await EngineFixture.create({
    nodeId: THIS_NODE,
    ranges: RANGES,
    tables: world(),
    withoutTwin: true,
    memory: {
      capacities: { flows: FLOWS, addresses: 64, instances: 64, workloads: 64, nodes: 16, workers: WORKERS },
      timeoutsMs: {
        udpUnreplied: 40,
        udpStream: 60,
        tcpOpening: 40,
        tcpEstablished: 90,
        tcpHalfClosed: 50,
        tcpClosed: 20,
      },
    },
  });
  const { shared } = fixture;
  const repair = new FlowTableRepair(shared.memory);
  const engine = await interruptibleEngine(shared.memory, () => random.below(3));
  const seats = Array.from({ length: WORKERS }, (_, worker) => ({
    exports: engine.start(worker),
    io: new EngineMemory(shared.memory, shared.at(Region.workers) + worker * WorkerLayout.SIZE),
  }));
  let kills = 0;
  let harmful = 0;
  while (kills < KILLS) {
    const worker = random.below(WORKERS);
    const seat = seats[worker] as (typeof seats)[number];
    const call = anyCall(random, seat.io);
    fixture.advance(random.below(6));
    const accesses = random.chance(0.9) ? random.below(random.chance(0.5) ? 400 : 4000) : Number.POSITIVE_INFINITY;
    if (!engine.breaksOff(accesses, () => call(seat.exports, fixture.nowUs))) continue;
    kills += 1;
    // As when its thread is gone (Supervisor).
    const sequence =
      shared.u32[(shared.at(Region.workers) + worker * WorkerLayout.SIZE + WorkerLayout.SEQUENCE) >>> 2] ?? 0;
    if ((sequence & 1) === 0) continue; // before the call began, or after it was over
    Atomics.add(shared.i32, (shared.at(Region.workers) + worker * WorkerLayout.SIZE + WorkerLayout.SEQUENCE) >>> 2, 1);
    if (kills % 8 === 0 && inspectFlowTable(shared).broken.length > 0) harmful += 1;
    repair.releaseLock(worker);
    repair.repair([worker]);
    const { broken } = inspectFlowTable(shared);
    if (broken.length > 0) expect(broken, `after kill ${kills}, ${accesses} accesses`).toEqual([]);
    seat.exports = engine.start(worker);
  }
  expect(harmful, "looked at without repair, each eighth time").toBeGreaterThan(KILLS / 80);
});

type Call = (engine: { egress: Step; ingress: Step; sweep: Step }, nowUs: number) => void;
type Step = (...values: number[]) => unknown;

/** Packets of clients, answers to them, or a sweep. */
function anyCall(random: Random, io: EngineMemory): Call {
  const kind = random.below(10);
  if (kind === 0) return (engine, nowUs) => void engine.sweep(nowUs, 200);
  const sport = (): number => random.between(2000, 2030);
  if (kind < 7) {
    for (let slot = 0; slot < BATCH; slot++) {
      const build = packet().ip(random.pick([A1, C1]).v4, random.pick([ROUND_ROBIN.b.v4, CLOSEST.b.v4, B2.instanceV4]));
      const isTcp = random.chance(0.6);
      const ports = { sport: sport(), dport: 80 };
      io.putFrame(slot, (isTcp ? build.tcp({ ...ports, flags: random.pick(FLAGS) }) : build.udp(ports)).frame());
    }
    return (engine, nowUs) => void engine.egress(0, BATCH, nowUs);
  }
  for (let index = 0; index < BATCH; index++) {
    const build = packet().ip(random.pick([B1, B2, B3]).instanceV4, random.pick([A1, C1]).v4);
    const ports = { sport: 80, dport: sport() };
    const bytes = (random.chance(0.6) ? build.tcp({ ...ports, flags: random.pick(FLAGS) }) : build.udp(ports)).bytes();
    io.putMessage(index, { ...FROM.b, bytes });
  }
  return (engine, nowUs) => void engine.ingress(0, BATCH, nowUs);
}
