// Tables without borders, for people.

import Table from "cli-table3";

export interface Column {
  readonly head: string;
  readonly align?: "left" | "right";
}

const GAP = "  ";
const NO_BORDERS = {
  "top": "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  "bottom": "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  "left": "",
  "left-mid": "",
  "mid": "",
  "mid-mid": "",
  "right": "",
  "right-mid": "",
  "middle": GAP,
};

/** Heads in capitals above the rows; a cell may have several lines. Ends with a newline. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: columns.map((column) => column.head.toUpperCase()),
    colAligns: columns.map((column) => column.align ?? "left"),
    chars: NO_BORDERS,
    style: { "head": [], "border": [], "padding-left": 0, "padding-right": 0 },
  });
  table.push(...rows.map((row) => [...row]));
  return trimmedLines(table.toString());
}

/** Name and value per line. */
export function renderFields(fields: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return trimmedLines(
    fields
      .map(([name, value]) => name.padEnd(width) + GAP + value.replaceAll("\n", `\n${" ".repeat(width)}${GAP}`))
      .join("\n"),
  );
}

function trimmedLines(text: string): string {
  return `${text.replace(/[ ]+$/gm, "")}\n`;
}
