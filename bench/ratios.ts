// What engines took, each beside the first of them.
import { renderTable } from "../src/base/text-table.ts";
import type { Outcome } from "./contenders.ts";
import { figure } from "./path/report.ts";

export function renderRatios(names: readonly string[], outcomes: readonly Outcome[], rounds: number): string {
  const rows = outcomes.flatMap(({ name, ns }) =>
    ns.map((value, i) => [name, names[i] ?? "", figure(value), figure(value / (ns[0] ?? Number.NaN))]),
  );
  const columns = ["case", "engine", ...["CPU ns", "ratio"].map((right) => ({ right }))];
  return `${renderTable(columns, rows)}\nLower quartiles of ${rounds} turns each.\n`;
}
