// `npm run bench -- engines OTHER ...`: packets of known flows in the engine of this build and in others. OTHER is a
// module with the layout of this build, or the folder of another checkout, built, which may have another layout.
// All take turns in one process, so that what the machine does meanwhile falls on all of them alike.
import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Command } from "commander";
import * as WorkerLayout from "../assembly/shared/layout/worker.ts";
import { renderTable } from "../src/base/text-table.ts";
import { BenchNode } from "./bench-node.ts";
import * as ownEngine from "./engine.ts";
import { figure } from "./path/report.ts";
import { wholeNumber } from "./whole-number.ts";

/** What measures an engine: the benchmarks of the checkout that it belongs to. */
interface Build {
  readonly name: string;
  readonly engineFile: string | undefined; // undefined: the engine of the checkout
  readonly nodes: Pick<typeof BenchNode, "create">;
  readonly engine: Pick<typeof ownEngine, "knownFlows" | "answeredFlows">;
}

interface Contender {
  readonly name: string;
  readonly run: () => void;
  readonly samplesNs: number[]; // per packet
}

interface Discipline {
  readonly name: string;
  readonly packets: number; // of one run
  readonly prepare: "knownFlows" | "answeredFlows";
}

const { FAMILIES, KNOWN_FLOWS } = ownEngine;
const DISCIPLINES: readonly Discipline[] = [
  { name: "egress, known flow", packets: KNOWN_FLOWS, prepare: "knownFlows" },
  { name: "ingress, answer", packets: WorkerLayout.BATCH_SIZE, prepare: "answeredFlows" },
];
const WARM_UP_PACKETS = 1_000_000; // both compilers of V8 have optimised by then
const SAMPLE_PACKETS = 4 * KNOWN_FLOWS;

const command = new Command("bench engines")
  .description("Measures packets of known flows in this build's engine and in others.")
  .argument("<others...>", "engine modules with the layout of this build, or folders of other checkouts that are built")
  .option("--rounds <n>", "turns of each", wholeNumber, 500)
  .parse();
const { rounds } = command.opts<{ readonly rounds: number }>();

const builds: Build[] = [{ name: "this build", engineFile: undefined, nodes: BenchNode, engine: ownEngine }];
for (const other of command.args) builds.push(await buildAt(other));
const rows: string[][] = [];
for (const discipline of DISCIPLINES) {
  for (const family of FAMILIES) rows.push(...(await compare(discipline, family)));
}
const right = "right" as const;
const columns = [{ head: "case" }, { head: "engine" }, ...["ns", "ratio"].map((head) => ({ head, align: right }))];
process.stdout.write(`${renderTable(columns, rows)}\nLower quartiles of ${rounds} turns each.\n`);

/** The build in a folder, or this one with the engine in a file. */
async function buildAt(path: string): Promise<Build> {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status?.isFile()) return { name: path, engineFile: path, nodes: BenchNode, engine: ownEngine };
  const [nodes, engine] = ["bench-node", "engine"].map((name) => join(resolve(path), "dist/bench", `${name}.js`));
  if (nodes === undefined || engine === undefined || !statSync(engine, { throwIfNoEntry: false })?.isFile()) {
    return command.error(
      `${path}: expected an engine module, or the folder of a checkout after \`npm run build\`; found neither`,
    );
  }
  return {
    name: path,
    engineFile: undefined,
    nodes: (await import(pathToFileURL(nodes).href)).BenchNode,
    engine: await import(pathToFileURL(engine).href),
  };
}

async function compare({ name, packets, prepare }: Discipline, family: ownEngine.Family): Promise<string[][]> {
  const contenders: Contender[] = [];
  for (const { name: build, engineFile, nodes, engine } of builds) {
    contenders.push({
      name: build,
      run: engine[prepare](await nodes.create({ engineFile }), family),
      samplesNs: [],
    });
  }
  for (const { run } of contenders) repeat(run, WARM_UP_PACKETS / packets);
  for (let round = 0; round < rounds; round++) {
    for (const { run, samplesNs } of contenders) {
      const start = process.hrtime.bigint();
      repeat(run, SAMPLE_PACKETS / packets);
      samplesNs.push(Number(process.hrtime.bigint() - start) / SAMPLE_PACKETS);
    }
  }
  const [own = 0, ...others] = contenders.map(({ samplesNs }) => lowerQuartile(samplesNs));
  return [own, ...others].map((ns, i) => [
    `${name}, ${family.name}`,
    contenders[i]?.name ?? "",
    figure(ns),
    figure(ns / own),
  ]);
}

function repeat(run: () => void, times: number): void {
  for (let i = 0; i < times; i++) run();
}

/** Interruptions only ever make a sample longer. */
function lowerQuartile(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[samples.length >> 2] ?? Number.NaN;
}
