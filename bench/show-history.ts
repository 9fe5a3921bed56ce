// `npm run bench history`: how each published figure went from run to run.

import { existsSync } from "node:fs";
import { Command } from "commander";
import { renderTable } from "../src/base/text-table.ts";
import { HISTORY_FILE, readHistory } from "./history.ts";
import { figure } from "./path/report.ts";

const { only, file } = new Command("bench history")
  .description("Shows the figures that were published, by name and date.")
  .option("--only <text>", "the figures whose name contains the text")
  .option("--file <file>", "another history", HISTORY_FILE)
  .parse()
  .opts<{ readonly only?: string; readonly file: string }>();

const runs = existsSync(file) ? readHistory(file) : [];
const rows = runs
  .flatMap(({ date, commit, subject, machine, figures }) =>
    figures
      .filter(({ name }) => only === undefined || name.includes(only))
      .map(({ name, value, unit }) => ({
        name,
        cells: [subject, name, figure(value), unit, date, commit, machine.node],
      })),
  )
  .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)); // stable: by date within a name
const heads = ["subject", "figure", "value", "unit", "date", "commit", "Node"];
process.stdout.write(
  renderTable(
    heads.map((head) => ({ head, align: head === "value" ? "right" : "left" })),
    rows.map(({ cells }) => cells),
  ),
);
