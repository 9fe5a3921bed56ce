// `npm run bench history`: how each published figure went from run to run, as a table or a chart.

import { existsSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import { renderTable } from "../src/base/text-table.ts";
import { HISTORY_FILE, readHistory } from "./history.ts";
import { renderHistoryChart } from "./history-chart.ts";
import { figure } from "./path/report.ts";

const { only, file, chart } = new Command("bench history")
  .description("Shows the figures that were published, by name and date.")
  .option("--only <text>", "the figures whose name contains the text", "")
  .option("--file <file>", "another history", HISTORY_FILE)
  .option("--chart <file>", "write a chart over time (SVG) in the place of the table")
  .parse()
  .opts<{ readonly only: string; readonly file: string; readonly chart?: string }>();

const runs = existsSync(file) ? readHistory(file) : [];
if (chart === undefined) process.stdout.write(asTable());
else writeFileSync(chart, renderHistoryChart(runs, isWanted));

function isWanted(name: string): boolean {
  return name.includes(only);
}

function asTable(): string {
  const rows = runs
    .flatMap(({ date, commit, subject, machine, figures }) =>
      figures
        .filter(({ name }) => isWanted(name))
        .map(({ name, value, unit }) => ({
          name,
          cells: [subject, name, figure(value), unit, date, commit, machine.node],
        })),
    )
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)); // stable: by date within a name
  const heads = ["subject", "figure", "value", "unit", "date", "commit", "Node"];
  return renderTable(
    heads.map((head) => (head === "value" ? { right: head } : head)),
    rows.map(({ cells }) => cells),
  );
}
