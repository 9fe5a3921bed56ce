// The frame around Benchmark.js: a case is a fast thing, mostly beside the slow and obvious twin that the tests
// compare it with. It gives the median over many samples, and how far the samples spread.
//
// A case file exports a function that makes its cases (see Cases), and main.ts runs them all.
import Benchmark from "benchmark";
import { renderTable } from "../src/base/text-table.ts";
import { quantile } from "./statistics.ts";

/** ns = nanoseconds per operation, less is better; GB/s = 10^9 bytes per second, more is better. */
type Unit = "ns" | "GB/s";

/** Something to measure. One call does much, so that the call itself (JavaScript to WebAssembly) does not count. */
export interface Work {
  readonly run: () => unknown; // a promise if it takes long and waits
  /** For a run that is a promise: what has to be waited for before the next, outside of the measured time. */
  readonly settle?: () => Promise<void>;
  /** What one call does: operations (packets, look-ups) for the unit ns, bytes for GB/s. */
  readonly amount: number;
}

export interface Case {
  /** What is measured, for people and programs: "flow hit, IPv4". Unique. */
  readonly name: string;
  readonly unit: Unit;
  readonly fast: Work;
  readonly twin?: Work | undefined;
}

/** What a case file exports, as a function: it may load modules first. */
export type Cases = () => Promise<readonly Case[]>;

interface Measurement {
  readonly median: number; // in the case's unit
  readonly spread: number; // (third - first quartile) / median
  readonly samples: number;
}

export interface Result {
  readonly name: string;
  readonly unit: Unit;
  readonly fast: Measurement;
  readonly twin?: Measurement | undefined;
}

/** One line of `npm run bench -- --json`. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: Unit;
}

const WARM_UP_MS = 200; // both compilers of V8 have optimised by then
const SAMPLES_MIN = 20;

/** Measures a case; `seconds` is the time for each of the fast one and its twin. */
export async function measure(one: Case, seconds: number): Promise<Result> {
  return {
    name: one.name,
    unit: one.unit,
    fast: await sample(one.name, one.unit, one.fast, seconds),
    twin: one.twin === undefined ? undefined : await sample(`${one.name}, twin`, one.unit, one.twin, seconds),
  };
}

/** How many times better the fast one is; undefined without a twin. */
function ratio(result: Result): number | undefined {
  if (result.twin === undefined) return undefined;
  return result.unit === "ns" ? result.twin.median / result.fast.median : result.fast.median / result.twin.median;
}

export function figures(results: readonly Result[]): Figure[] {
  return results.flatMap(({ name, unit, fast, twin }) => {
    const figure = { name, value: rounded(fast.median), unit };
    return twin === undefined ? [figure] : [figure, { name: `${name}, twin`, value: rounded(twin.median), unit }];
  });
}

export function table(results: readonly Result[]): string {
  return renderTable(
    [
      "case",
      "unit",
      { right: "value" },
      { right: "spread" },
      { right: "twin" },
      { right: "spread" },
      { right: "ratio" },
    ],
    results.map((result) => {
      const times = ratio(result);
      return [
        result.name,
        result.unit,
        String(rounded(result.fast.median)),
        percent(result.fast.spread),
        result.twin === undefined ? "" : String(rounded(result.twin.median)),
        result.twin === undefined ? "" : percent(result.twin.spread),
        times === undefined ? "" : `${times.toPrecision(2)}x`,
      ];
    }),
  );
}

async function sample(name: string, unit: Unit, work: Work, seconds: number): Promise<Measurement> {
  const first = work.run(); // also sets up what a case makes when it is needed
  const calls = first instanceof Promise ? await timePromises(first, work, seconds) : timeCalls(name, work, seconds);
  const values = calls
    .map((callSeconds) => (unit === "ns" ? (callSeconds * 1e9) / work.amount : work.amount / callSeconds / 1e9))
    .sort((a, b) => a - b);
  const median = quantile(values, 0.5);
  return { median, spread: (quantile(values, 0.75) - quantile(values, 0.25)) / median, samples: values.length };
}

/** Seconds per call. */
function timeCalls(name: string, work: Work, seconds: number): readonly number[] {
  const warmUntilMs = performance.now() + Math.min(WARM_UP_MS, seconds * 1000);
  do work.run();
  while (performance.now() < warmUntilMs);

  const benchmark = new Benchmark(name, work.run, { maxTime: seconds, minSamples: SAMPLES_MIN });
  benchmark.run({ async: false });
  // Benchmark.js keeps what a case throws, instead of throwing it.
  if (benchmark.error !== undefined) throw new Error(`the bench "${name}" failed`, { cause: benchmark.error });
  return benchmark.stats.sample;
}

/** The same for calls that take so long that each can be timed by itself. */
async function timePromises(first: Promise<unknown>, work: Work, seconds: number): Promise<readonly number[]> {
  await first;
  const calls: number[] = [];
  const endMs = performance.now() + seconds * 1000;
  while (calls.length < SAMPLES_MIN || performance.now() < endMs) {
    await work.settle?.();
    const startMs = performance.now();
    await work.run();
    calls.push((performance.now() - startMs) / 1000);
  }
  return calls;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}
