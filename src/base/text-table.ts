// Tables without borders, for people. The cost is linear in the number of cells: one pass finds how wide the columns
// are, a second one makes the lines, a piece at a time, so that the first lines are out before the last are made.

import { displayWidth } from "./display-width.ts";
import { inPieces } from "./pieces.ts";

/** Its head; the cells of `right` end in line, as numbers do. */
export type Column = string | { readonly right: string };

/** A cell may have several lines. Cells that are missing at the end are empty. */
type Row = readonly string[];

const GAP = "  ";

export class TextTable {
  readonly #columns: readonly Column[];
  readonly #rows: readonly Row[];
  readonly #widths: readonly number[];

  constructor(columns: readonly Column[], rows: readonly Row[]) {
    const heads = columns.map((column) => (typeof column === "string" ? column : column.right).toUpperCase());
    const widths = heads.map(cellWidth);
    for (const row of rows) {
      for (let i = 0; i < widths.length; i++) {
        const width = cellWidth(row[i] ?? "");
        if (width > (widths[i] ?? 0)) widths[i] = width;
      }
    }
    this.#columns = columns;
    this.#rows = [heads, ...rows];
    this.#widths = widths;
  }

  /** Columns of the terminal that the longest line may take. */
  get width(): number {
    return this.#widths.reduce((sum, width) => sum + width, GAP.length * (this.#widths.length - 1));
  }

  /** The table in pieces of whole lines, each line with its newline. */
  pieces(): Generator<string> {
    return inPieces(this.#texts());
  }

  *#texts(): Generator<string> {
    for (const row of this.#rows) yield this.#lines(row);
  }

  #lines(row: Row): string {
    if (!row.some((cell) => cell.includes("\n"))) return this.#line(row);
    const cells = row.map((cell) => cell.split("\n"));
    const height = Math.max(...cells.map((lines) => lines.length));
    return Array.from({ length: height }, (_, i) => this.#line(cells.map((lines) => lines[i] ?? ""))).join("");
  }

  #line(cells: readonly string[]): string {
    let line = "";
    for (let i = 0; i < this.#widths.length; i++) {
      const cell = cells[i] ?? "";
      const padding = " ".repeat(Math.max(0, (this.#widths[i] ?? 0) - displayWidth(cell)));
      line += (i === 0 ? "" : GAP) + (typeof this.#columns[i] === "string" ? cell + padding : padding + cell);
    }
    return `${line.trimEnd()}\n`;
  }
}

/** Heads in capitals above the rows. Ends with a newline. */
export function renderTable(columns: readonly Column[], rows: readonly Row[]): string {
  return [...new TextTable(columns, rows).pieces()].join("");
}

/** Name and value per line. */
export function renderFields(fields: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...fields.map(([name]) => displayWidth(name)));
  const indent = " ".repeat(width) + GAP;
  return fields
    .map(([name, value]) => name + indent.slice(displayWidth(name)) + value.replaceAll("\n", `\n${indent}`))
    .map((text) => `${text.replace(/ +$/gm, "")}\n`)
    .join("");
}

function cellWidth(cell: string): number {
  return cell.includes("\n") ? Math.max(...cell.split("\n").map(displayWidth)) : displayWidth(cell);
}
