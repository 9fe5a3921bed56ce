// Engines that are measured in turns in one process, so that what the machine does meanwhile falls on all of them alike:
// the one of this build, those of others, and such as have something around them.
import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import * as WorkerLayout from "../assembly/shared/layout/worker.ts";
import { BenchNode } from "./bench-node.ts";
import * as ownEngine from "./engine.ts";

/** What measures an engine: the benchmarks of the checkout that it belongs to. */
export interface Build {
  readonly name: string;
  /** Made anew for each case. */
  readonly create: () => Promise<BenchNode>;
  readonly engine: Pick<typeof ownEngine, "knownFlows" | "answeredFlows">;
  /** What has to be done after each sample, outside of the measured time. */
  readonly settle?: (node: BenchNode) => void;
}

export const THIS_BUILD: Build = { name: "this build", create: () => BenchNode.create(), engine: ownEngine };

interface Contender {
  readonly run: () => void;
  readonly settle: () => void;
  readonly samplesNs: number[]; // of processor time per packet, all threads together
}

interface Discipline {
  readonly name: string;
  readonly packets: number; // of one run
  readonly prepare: "knownFlows" | "answeredFlows";
}

/** What a build takes in a case: the lower quartile, because whatever else runs only ever makes a sample longer. */
export interface Outcome {
  readonly name: string; // of the case
  readonly ns: readonly number[]; // of processor time per packet, as the builds
}

const { FAMILIES, KNOWN_FLOWS } = ownEngine;
const DISCIPLINES: readonly Discipline[] = [
  { name: "egress, known flow", packets: KNOWN_FLOWS, prepare: "knownFlows" },
  { name: "ingress, answer", packets: WorkerLayout.BATCH_SIZE, prepare: "answeredFlows" },
];
const WARM_UP_PACKETS = 1_000_000; // both compilers of V8 have optimised by then
const SAMPLE_PACKETS = 4 * KNOWN_FLOWS;

/** The build in a folder, or this one with the engine in a file. */
export async function buildAt(path: string, command: Command): Promise<Build> {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status?.isFile()) return { ...THIS_BUILD, name: path, create: () => BenchNode.create({ engineFile: path }) };
  const [nodesFile, engine] = ["bench-node", "engine"].map((name) => join(resolve(path), "dist/bench", `${name}.js`));
  if (nodesFile === undefined || engine === undefined || !statSync(engine, { throwIfNoEntry: false })?.isFile()) {
    return command.error(
      `${path}: expected an engine module, or the folder of a checkout after \`npm run build\`; found neither`,
    );
  }
  const { BenchNode: nodes }: { BenchNode: typeof BenchNode } = await import(pathToFileURL(nodesFile).href);
  return { name: path, create: () => nodes.create(), engine: await import(pathToFileURL(engine).href) };
}

/** Packets of known flows, in both directions and families. */
export async function compareBuilds(builds: readonly Build[], rounds: number): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const discipline of DISCIPLINES) {
    for (const family of FAMILIES) outcomes.push(await compare(builds, rounds, discipline, family));
  }
  return outcomes;
}

async function compare(
  builds: readonly Build[],
  rounds: number,
  { name, packets, prepare }: Discipline,
  family: ownEngine.Family,
): Promise<Outcome> {
  const contenders: Contender[] = [];
  for (const { create, engine, settle } of builds) {
    const node = await create();
    contenders.push({ run: engine[prepare](node, family), settle: () => settle?.(node), samplesNs: [] });
  }
  for (const { run, settle } of contenders) {
    for (let done = 0; done < WARM_UP_PACKETS; done += SAMPLE_PACKETS) {
      repeat(run, SAMPLE_PACKETS / packets);
      settle();
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const { run, settle, samplesNs } of contenders) {
      const before = process.cpuUsage();
      repeat(run, SAMPLE_PACKETS / packets);
      const { user, system } = process.cpuUsage(before);
      samplesNs.push((1000 * (user + system)) / SAMPLE_PACKETS);
      settle();
    }
  }
  return { name: `${name}, ${family.name}`, ns: contenders.map(({ samplesNs }) => lowerQuartile(samplesNs)) };
}

function repeat(run: () => void, times: number): void {
  for (let i = 0; i < times; i++) run();
}

function lowerQuartile(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[samples.length >> 2] ?? Number.NaN;
}
