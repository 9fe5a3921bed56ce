// Mutants through the engine and its judges, and the cases that were kept of all that was ever tried (test/corpus).
// SAPWOOD_TEST_SEED=n repeats one seed; two million packets are in test/long, more in `npm run fuzz`.
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Counter } from "../../assembly/shared/counters.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as VerdictNoteLayout from "../../assembly/shared/layout/verdict-note.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";
import type { SharedMemory } from "../../src/memory/shared-memory.ts";
import { EngineFixture, loadEngineModule } from "../support/engine-fixture.ts";
import { Corpus } from "../support/fuzz/corpus.ts";
import { readEngineCases } from "../support/fuzz/engine-corpus.ts";
import { fuzzEngine } from "../support/fuzz/engine-fuzz.ts";
import { expectCleanRound } from "../support/fuzz/fuzz-run.ts";
import type { Alteration } from "../support/fuzz/fuzzed-engine.ts";
import { faultOf } from "../support/fuzz/reader-fuzz.ts";
import { READERS } from "../support/fuzz/readers.ts";
import { Random, testSeed } from "../support/random.ts";
import { trafficMemory } from "../support/traffic-memory.ts";
import { TrafficWorld } from "../support/traffic-world.ts";
import { RANGES, THIS_NODE } from "../support/world.ts";

const CORPUS = new Corpus("test/corpus");
const FAULTY_PACKETS = 60_000;

test("the engine stands 200,000 mutants", () => expectCleanRound(testSeed(1), 200_000));

/** Does something wrong after each call of egress. */
function afterEgress(spoil: (shared: SharedMemory, view: DataView, workerAt: number) => void): Alteration {
  return (engine, shared) => {
    const view = new DataView(shared.memory.buffer);
    const egress = (first: number, end: number, nowUs: number): number => {
      const next = engine.egress(first, end, nowUs);
      spoil(shared, view, shared.at(Region.workers));
      return next;
    };
    return { ...engine, egress };
  };
}

function add(view: DataView, at: number, amount: bigint): void {
  view.setBigUint64(at, view.getBigUint64(at, true) + amount, true);
}

describe("the judges find an engine that", () => {
  test.each<[string, Alteration, RegExp]>([
    [
      "drops a packet without a reason",
      afterEgress((_, view, at) => add(view, at + WorkerLayout.COUNTERS + 8 * Counter.egressPackets, 1n)),
      /packets are queued/,
    ],
    [
      "counts a drop twice",
      afterEgress((_, view, at) => add(view, at + WorkerLayout.EGRESS_DROPS + 8 * DropReason.notIp, 1n)),
      /drops/,
    ],
    [
      "loses a note",
      afterEgress((_, view, at) => {
        const notes = view.getUint32(at + WorkerLayout.NOTE_COUNT, true);
        view.setUint32(at + WorkerLayout.NOTE_COUNT, Math.max(0, notes - 1), true);
      }),
      /have no note/,
    ],
    [
      "notes the flow of nobody",
      afterEgress((_, view, at) => view.setUint32(at + WorkerLayout.NOTES + VerdictNoteLayout.FLOW, 12, true)),
      /no flow record/,
    ],
    [
      "writes into the tables",
      afterEgress((shared, view) => view.setUint8(shared.at(Region.addresses) + 100, 7)),
      /wrote into the region addresses/,
    ],
    [
      "writes behind a frame",
      afterEgress((_, view, at) => view.setUint8(at + WorkerLayout.UDP_SLOTS + WorkerLayout.SLOT_SIZE - 1, 0)),
      /wrote into the end of slot 0/,
    ],
    [
      "writes into another worker's area",
      afterEgress((_, view, at) => view.setUint8(at + WorkerLayout.SIZE + 5000, 1)),
      /wrote into the other worker's area/,
    ],
    [
      "lets a flow leak",
      afterEgress((_, view) => {
        const at = HeaderLayout.AT + HeaderLayout.FLOW_COUNT;
        view.setUint32(at, view.getUint32(at, true) + 1, true);
      }),
      /the header counts \d+ flows/,
    ],
    ["sends a wrong byte", afterEgress((_, view, at) => spoilDatagrams(view, at, 30)), /with a wrong/],
    ["sends in another's name", afterEgress((_, view, at) => spoilDatagrams(view, at, 15)), /with a wrong/],
    ["traps", (engine) => ({ ...engine, ingress: () => unreachable() }), /unreachable/],
  ])("%s", async (_, alter, sentence) => {
    const fault = await fuzzEngine(await loadEngineModule(), 1, FAULTY_PACKETS, alter).then(
      () => undefined,
      (error: Error) => error,
    );
    expect(`${fault?.message}: ${(fault?.cause as Error | undefined)?.message}`).toMatch(sentence);
  });
});

/** Turns a bit of a byte of the first piece of each queued datagram. */
function spoilDatagrams(view: DataView, workerAt: number, offset: number): void {
  const count = view.getUint32(workerAt + WorkerLayout.UDP_TX_COUNT, true);
  for (let i = 0; i < count; i++) {
    const message = workerAt + WorkerLayout.UDP_TX + i * KernelLayout.MMSGHDR_SIZE;
    const iovec = Number(view.getBigUint64(message + KernelLayout.MMSGHDR_IOV, true));
    const at = Number(view.getBigUint64(iovec, true)) + offset;
    view.setUint8(at, view.getUint8(at) ^ 4);
  }
}

function unreachable(): never {
  throw new Error("unreachable"); // as WebAssembly.RuntimeError says it
}

test("engine and twin agree on the mutants that were kept", async () => {
  const random = new Random(1);
  const world = new TrafficWorld(random, THIS_NODE);
  const fixture = await EngineFixture.create({
    ...{ nodeId: THIS_NODE, ranges: RANGES, tables: world.tables() },
    memory: trafficMemory(1, 4096, random),
  });
  const cases = readEngineCases("test/corpus/engine.jsonl");
  // In the second round there are the flows that the first one opened.
  for (const { frame, message } of [...cases, ...cases.toReversed()]) {
    if (frame !== undefined) fixture.egress(frame);
    if (message !== undefined) fixture.ingress(message);
    fixture.advance(3);
  }
  fixture.sweep();
  expect(cases.length).toBeGreaterThan(100);
});

describe("a reader takes or refuses each case that was kept", () => {
  test.each(Object.keys(READERS))("%s", async (name) => {
    const reader = await (READERS[name] as (typeof READERS)[string])();
    try {
      const seeds = reader.seeds.map((input, i) => ({ name: `seed ${i}`, input }));
      for (const { name: which, input } of [...CORPUS.cases(name), ...seeds]) {
        expect(await faultOf(reader, input), which).toBeUndefined();
      }
    } finally {
      await reader.close?.();
    }
  });

  test("no case is of a reader that there is not", () => {
    const known = [...Object.keys(READERS), "engine.jsonl"];
    expect(readdirSync("test/corpus").filter((name) => !known.includes(name))).toEqual([]);
  });
});
