// `npm run bench:engines -- FILE.wasm ...`: packets of known flows in the engine of this build and in others with the
// same layout. All take turns in one process, so that what the machine does meanwhile falls on all of them alike.
import { Command } from "commander";
import { BATCH_SIZE } from "../assembly/shared/layout.ts";
import { renderTable } from "../src/cli/text-table.ts";
import { BenchNode } from "./bench-node.ts";
import { answeredFlows, FAMILIES, type Family, KNOWN_FLOWS, knownFlows } from "./engine.ts";
import { figure } from "./path/report.ts";
import { wholeNumber } from "./whole-number.ts";

interface Contender {
  readonly name: string;
  readonly run: () => void;
  readonly samplesNs: number[]; // per packet
}

interface Discipline {
  readonly name: string;
  readonly packets: number; // of one run
  readonly prepare: (node: BenchNode, family: Family) => () => void;
}

const DISCIPLINES: readonly Discipline[] = [
  { name: "egress, known flow", packets: KNOWN_FLOWS, prepare: knownFlows },
  { name: "ingress, answer", packets: BATCH_SIZE, prepare: answeredFlows },
];
const WARM_UP_PACKETS = 1_000_000; // both compilers of V8 have optimised by then
const SAMPLE_PACKETS = 4 * KNOWN_FLOWS;

const command = new Command("bench:engines")
  .description("Measures packets of known flows in this build's engine and in others.")
  .argument("<files...>", "engine modules with the layout of this build")
  .option("--rounds <n>", "turns of each", wholeNumber, 500)
  .parse();
const files: readonly (string | undefined)[] = [undefined, ...command.args];
const { rounds } = command.opts<{ readonly rounds: number }>();

const rows: string[][] = [];
for (const discipline of DISCIPLINES) {
  for (const family of FAMILIES) rows.push(...(await compare(discipline, family)));
}
const right = "right" as const;
const columns = [{ head: "case" }, { head: "engine" }, ...["ns", "ratio"].map((head) => ({ head, align: right }))];
process.stdout.write(`${renderTable(columns, rows)}\nLower quartiles of ${rounds} turns each.\n`);

async function compare({ name, packets, prepare }: Discipline, family: Family): Promise<string[][]> {
  const contenders: Contender[] = [];
  for (const engineFile of files) {
    const run = prepare(await BenchNode.create({ engineFile }), family);
    contenders.push({ name: engineFile ?? "this build", run, samplesNs: [] });
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
