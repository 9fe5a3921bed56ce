// The history of measured figures: bench/results/history.jsonl has a line for each run with --publish, with date, commit
// and machine, so that it can be told when a figure moved. Lines are only ever added. A chart of
// some of them is beside it.

import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import type { Figure } from "./harness.ts";
import { renderHistoryChart } from "./history-chart.ts";
import { type Machine, sourceCommit, thisMachine } from "./path/machine.ts";

export const HISTORY_FILE = fileURLToPath(new URL("../../bench/results/history.jsonl", import.meta.url));
/** Over IPv4, without processor time. */
const CHARTED = /^(?!cpu_)\w+_v4 sapwood$/;

const Run = z.object({
  date: z.string(), // ISO 8601
  commit: z.string(), // with "+" when the sources were changed since
  subject: z.string(), // of `npm run bench`
  options: z.record(z.string(), z.unknown()), // with which it was measured
  machine: z.custom<Machine>((found) => typeof found === "object" && found !== null),
  figures: z.array(z.object({ name: z.string(), value: z.number(), unit: z.string() })),
});
type Run = z.infer<typeof Run>;

/** A figure with any unit. */
export type PublishedFigure = Omit<Figure, "unit"> & { readonly unit: string };

/** Adds what a subject measured now, and says so. */
export function publish(
  subject: string,
  options: Readonly<Record<string, unknown>>,
  figures: readonly PublishedFigure[],
  file = HISTORY_FILE,
): void {
  const date = new Date().toISOString();
  const run: Run = { date, commit: sourceCommit(), subject, options, machine: thisMachine(), figures: [...figures] };
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, `${JSON.stringify(run)}\n`);
  writeFileSync(file.replace(/jsonl$/, "svg"), chartOf(file));
  process.stderr.write(`Added to ${file}.\n`);
}

/** SVG text. */
export function chartOf(file: string): string {
  return renderHistoryChart(readHistory(file), (name) => CHARTED.test(name));
}

/** All runs, the oldest first. Throws when a line is no run. */
export function readHistory(file = HISTORY_FILE): Run[] {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line, index) => {
    const run = Run.safeParse(asJson(line));
    if (run.success) return run.data;
    throw new Error(`${file}:${index + 1}: expected a run of a benchmark, found ${line.slice(0, 60)}`);
  });
}

function asJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
