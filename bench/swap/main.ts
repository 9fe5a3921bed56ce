// `npm run bench swap`: the longest gaps of a UDP stream of 20,000 packets a second while policies and engines are
// swapped, beside those of the same stream while nothing is, and while a policy does not return; and how long the swaps
// take.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { Lab } from "../../src/lab/lab.ts";
import { DEMO } from "../../src/lab/topology.ts";
import type { ConnectionsResult } from "../../src/lab/workload-protocol.ts";
import type { PolicyDetailReport } from "../../src/model/module-reports.ts";
import { turning } from "../../test/support/hostile-policies.ts";
import { assemble } from "../../test/support/wat.ts";
import { type PublishedFigure, publish } from "../history.ts";
import { thisMachine } from "../path/machine.ts";
import { summarise } from "../statistics.ts";
import { wholeNumber } from "../whole-number.ts";
import type { SwapResult } from "./protocol.ts";
import { swapModules, Traffic, type TrafficOutcome } from "./traffic.ts";

interface Options {
  readonly json?: true;
  readonly publish?: true;
  readonly swaps: number;
  readonly connections: number;
  readonly queues: number;
}

const options = new Command("bench swap")
  .description("Measures what a swap of modules does to packets that flow meanwhile.")
  .option("--json", "print one JSON object")
  .option("--publish", "add the figures to bench/results/history.jsonl")
  .option("--swaps <n>", "how many policies and how many engines are swapped", wholeNumber, 100)
  .option("--connections <n>", "kept HTTP connections beside the streams", wholeNumber, 500)
  .option("--queues <n>", "workers of each node", wholeNumber, 1)
  .parse()
  .opts<Options>();

interface SwapReport {
  readonly swaps: Readonly<Record<string, ReturnType<typeof timesOf>>>;
  readonly withSwaps: ReturnType<typeof streamOf>;
  readonly without: ReturnType<typeof streamOf>;
}

const NODE = "node-a";
const INTERRUPTIONS = 3;

const folder = mkdtempSync(join(tmpdir(), "sapwood-bench-"));
const lab = await Lab.open({ ...DEMO, settings: { tun: { queues: options.queues } } });
try {
  await lab.startProxies();
  const swapping = await Traffic.start(lab, options);
  const startMs = performance.now();
  const swaps = await swapModules(lab, options.swaps);
  const tookMs = performance.now() - startMs;
  const withSwaps = await swapping.stop();
  const undisturbed = await Traffic.start(lab, options);
  await new Promise((resolve) => setTimeout(resolve, tookMs));
  const without = await undisturbed.stop();
  const interrupted: TrafficOutcome[] = [];
  for (let i = 0; i < INTERRUPTIONS; i++) interrupted.push(await interruptedBy(i));
  print(swaps, withSwaps, without, interrupted);
} finally {
  await lab.close();
  rmSync(folder, { recursive: true });
}

/** The stream while a policy does not return: its worker is ended and started again. */
async function interruptedBy(number: number): Promise<TrafficOutcome> {
  const file = join(folder, "endless.wasm");
  const distinct = `(func (export "number") (result i32) (i32.const ${number}))`;
  writeFileSync(file, assemble(turning({ choose: "(loop $on (br $on))" }, distinct)));
  const traffic = await Traffic.start(lab, { connections: 2 });
  await lab.sapwood(NODE, ["policy", "load", "closest", file]);
  const calls = { kind: "connections", address: "10.30.0.1", count: 60, concurrency: 4 } as const;
  await lab.ask<ConnectionsResult>("a1", calls);
  const { faults } = await lab.report<PolicyDetailReport>(NODE, "policies/closest");
  if (faults.overdue === 0) throw new Error("The policy that does not return was not asked.");
  return await traffic.stop();
}

function print(
  swaps: readonly SwapResult[],
  withSwaps: TrafficOutcome,
  without: TrafficOutcome,
  interrupted: readonly TrafficOutcome[],
): void {
  const report = {
    machine: thisMachine(),
    swaps: Object.fromEntries((["policy", "engine"] as const).map((what) => [what, timesOf(swaps, what)])),
    withSwaps: streamOf(withSwaps),
    without: streamOf(without),
    whilePolicyDidNotReturn: interrupted.map(streamOf),
  };
  process.stdout.write(`${JSON.stringify(report, undefined, options.json ? 0 : 2)}\n`);
  if (options.publish) publish("swap", { ...options }, figuresOf(report));
}

function figuresOf({ swaps, withSwaps, without }: SwapReport): PublishedFigure[] {
  const lost = [withSwaps, without].map(({ lost }) => lost);
  return [
    ...Object.entries(swaps).flatMap(([what, { untilAllHadIt, pause }]) => [
      { name: `${what} swap, until all workers had it`, value: untilAllHadIt.medianMs, unit: "ms" },
      { name: `${what} swap, longest pause`, value: pause.maxMs, unit: "ms" },
    ]),
    ...["with swaps", "without"].map((when, i) => ({ name: `packets lost ${when}`, value: lost[i] ?? 0, unit: "1" })),
  ];
}

function timesOf(swaps: readonly SwapResult[], what: SwapResult["what"]) {
  const own = swaps.filter((swap) => swap.what === what);
  const spread = (values: readonly number[]) => {
    const { median, max } = summarise(values);
    return { medianMs: median, maxMs: max };
  };
  return {
    count: own.length,
    untilAllHadIt: spread(own.map((swap) => swap.tookMs)),
    pause: spread(own.map((swap) => swap.pauseMs)),
  };
}

function streamOf({ stream, received }: TrafficOutcome) {
  const arrived = received.reduce((sum, { packets }) => sum + packets, 0);
  return {
    packets: stream.packets,
    packetsPerSecond: Math.round(stream.packets / stream.seconds),
    lost: stream.packets - arrived,
    misplaced: received.reduce((sum, { misplaced }) => sum + misplaced, 0),
    longestGapsMs: received.flatMap(({ longestGapsMs }) => longestGapsMs).slice(0, 10),
  };
}
