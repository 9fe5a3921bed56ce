// `npm run bench -- capture [BEFORE ...]`: what a capture costs a packet of a known flow, off and on. BEFORE is the
// folder of another checkout, built, of a commit before there were captures, say: then the ratios are to it.
import { Command } from "commander";
import { Counter } from "../assembly/shared/counters.ts";
import * as WorkerLayout from "../assembly/shared/layout/worker.ts";
import { type CaptureFilter, SNAP_LENGTH_MAX } from "../src/dataplane/capture/capture-contract.ts";
import { createRing, RingReader } from "../src/dataplane/capture/capture-ring.ts";
import { CaptureTap } from "../src/dataplane/capture/capture-tap.ts";
import { CapturingEngine } from "../src/dataplane/capture/capturing-engine.ts";
import { WorkerArea } from "../src/dataplane/io/device.ts";
import { BenchNode } from "./bench-node.ts";
import { type Build, buildAt, compareBuilds, THIS_BUILD } from "./contenders.ts";
import { renderRatios } from "./ratios.ts";
import { wholeNumber } from "./whole-number.ts";

const EVERYTHING: CaptureFilter = { bit: 0, snapLength: SNAP_LENGTH_MAX, isDroppedOnly: false };
const OF_NOBODY: CaptureFilter = { ...EVERYTHING, port: 1 };

const command = new Command("bench capture")
  .description("Measures packets of known flows without a capture and with one, beside builds of other checkouts.")
  .argument("[before...]", "folders of other checkouts that are built; ratios are to the first")
  .option("--rounds <n>", "turns of each", wholeNumber, 500)
  .parse();
const { rounds } = command.opts<{ readonly rounds: number }>();

/** By build: packets that found no room. */
const notCaptured = new Map<string, number>();

const before: Build[] = [];
for (const folder of command.args) before.push(await buildAt(folder, command));
const builds: readonly Build[] = [
  ...before,
  { ...THIS_BUILD, name: "capture off" },
  capturing("on, of other packets", OF_NOBODY, true),
  capturing("on, of all", EVERYTHING, true),
  capturing("on, of all, nobody reads", EVERYTHING, false),
];
const names = builds.map(({ name }) => name);
process.stdout.write(renderRatios(names, await compareBuilds(builds, rounds), rounds));
for (const [name, count] of notCaptured) process.stdout.write(`Not captured, ${name}: ${count} packets.\n`);

/** This build while somebody captures; who reads takes all that is there after each sample. */
function capturing(name: string, filter: CaptureFilter, isRead: boolean): Build {
  notCaptured.set(name, 0);
  const ring = createRing();
  const reader = new RingReader(ring);
  return {
    ...THIS_BUILD,
    name,
    create: () =>
      BenchNode.create({
        around: (engine, { memory }) => {
          const area = new WorkerArea(memory, 0, 0n);
          return new CapturingEngine(engine, area, new CaptureTap(area, ring, [filter], () => performance.now()));
        },
      }),
    settle({ shared }) {
      if (isRead) reader.drain(Number.POSITIVE_INFINITY, () => undefined);
      const area = new WorkerArea(shared.memory, 0, 0n);
      const at = WorkerLayout.COUNTERS + 8 * Counter.packetsNotCaptured;
      notCaptured.set(name, (notCaptured.get(name) ?? 0) + area.word(at));
      area.setWord(at, 0);
    },
  };
}
