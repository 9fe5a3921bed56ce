// Record indices of one region: which are free. The first index is never zero, because 0 means "none" in the tables.

import type { Rows } from "./rows.ts";

export class IndexPool {
  readonly #end: number;
  readonly #free: number[] = [];
  #next = 1;

  /** Gives out 1...recordCount-1. */
  constructor(recordCount: number) {
    this.#end = recordCount;
  }

  /** A free index, or undefined when all are in use. */
  take(): number | undefined {
    const index = this.#free.pop();
    if (index !== undefined) return index;
    if (this.#next >= this.#end) return undefined;
    this.#next += 1;
    return this.#next - 1;
  }

  give(index: number): void {
    this.#free.push(index);
  }

  /** Those in the first column. */
  giveAll(rows: Rows): void {
    for (let row = 0; row < rows.length; row++) this.give(rows.at(row, 0));
  }

  /** Every index ever given out is below this one. */
  get end(): number {
    return this.#next;
  }
}
