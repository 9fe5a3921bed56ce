// The outcome as a table for people and as an object for programs.
import { renderTable } from "../../src/base/text-table.ts";
import { type Summary, summarise } from "../statistics.ts";
import type { Drops } from "./drops.ts";
import type { Machine } from "./machine.ts";
import type { Metric } from "./measurements.ts";
import { type Comparison, type PathName, PLAIN } from "./path.ts";
import { ratioOf, type Series } from "./rounds.ts";

/** `npm run bench -- path --json`. */
export interface Report {
  readonly machine: Machine;
  readonly commit: string;
  readonly date: string; // ISO 8601
  readonly rounds: number;
  readonly seconds: number; // of each measurement
  readonly queues: number | "default";
  readonly results: readonly Result[];
  /** A path's figure divided by the other's, by "path / other" and metric: median over the rounds. */
  readonly ratios: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** What sapwood lost in the whole run, by node and reason. */
  readonly drops: Readonly<Record<string, Drops>>;
}

interface Result {
  readonly name: string;
  readonly path: PathName;
  readonly value: number; // median over the rounds
  readonly unit: string;
  readonly spread: { readonly min: number; readonly max: number };
}

/** A metric with its figures, as table and chart show it. */
export interface Row {
  readonly metric: Metric;
  readonly results: readonly Result[]; // one per path that was measured
  readonly ratios: readonly Ratio[]; // none when there is nothing to compare
}

interface Ratio extends Summary {
  readonly of: string; // "path / other"
}

export function rowsOf(series: readonly Series[], comparisons: readonly Comparison[] = [PLAIN]): Row[] {
  const metrics = [...new Set(series.map(({ metric }) => metric))];
  return metrics.map((metric) => ({
    metric,
    results: series.filter((one) => one.metric === metric).map(resultOf),
    ratios: metric.better === "neither" ? [] : comparisons.flatMap((compared) => ratiosIn(series, metric, compared)),
  }));
}

function ratiosIn(series: readonly Series[], metric: Metric, compared: Comparison): Ratio[] {
  const ratio = ratioOf(series, metric, compared);
  return ratio === undefined ? [] : [{ of: `${compared.path} / ${compared.with}`, ...ratio }];
}

export function ratiosOf(rows: readonly Row[]): Record<string, Record<string, number>> {
  const ratios: Record<string, Record<string, number>> = {};
  for (const { metric, ratios: found } of rows) {
    for (const { of, median } of found) ratios[of] = { ...ratios[of], [metric.name]: rounded(median) };
  }
  return ratios;
}

function resultOf({ metric, path, values }: Series): Result {
  const { median, min, max } = summarise(values);
  const spread = { min: rounded(min), max: rounded(max) };
  return { name: metric.name, path, value: rounded(median), unit: metric.unit, spread };
}

export function renderResults(rows: readonly Row[]): string {
  const paths = rows[0]?.results.map(({ path }) => path) ?? [];
  const compared = rows.find(({ ratios }) => ratios.length > 0)?.ratios.map((ratio) => ratio.of) ?? [];
  const figures = [...paths, ...compared].flatMap((name) => [name, "min..max"]);
  return renderTable(
    ["medians", "unit", ...figures.map((right) => ({ right })), ""],
    rows.map(({ metric, results, ratios }) => [
      metric.label,
      metric.unit,
      ...results.flatMap(({ value, spread }) => [figure(value), span(spread)]),
      ...compared.flatMap((_, index) => ratioCells(ratios[index])),
      metric.better === "less" ? "less is better" : "",
    ]),
  );
}

function ratioCells(ratio: Ratio | undefined): [string, string] {
  return ratio === undefined ? ["", ""] : [figure(ratio.median), span(ratio)];
}

/** What sapwood lost, or a sentence that it lost nothing. */
export function renderDrops(drops: Readonly<Record<string, Drops>>): string {
  const rows = Object.entries(drops).flatMap(([node, byReason]) => {
    return Object.entries(byReason).map(([reason, packets]) => [node, reason, figure(packets)]);
  });
  if (rows.length === 0) return "Sapwood's nodes dropped nothing.\n";
  return renderTable(["sapwood on", "dropped because", { right: "packets in the whole run" }], rows);
}

/** A figure as people read it: three digits that count, thousands set apart. */
export function figure(value: number): string {
  if (value >= 1000) return rounded(value).toLocaleString("en").replaceAll(",", " ");
  return String(rounded(value));
}

function span({ min, max }: { readonly min: number; readonly max: number }): string {
  return `${figure(min)}..${figure(max)}`;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
