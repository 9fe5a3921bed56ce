// Rows of numbers from 0 to 2^32 - 1, for what one change of the tables has a million of: they are not objects, so that
// they are neither as large as those nor the garbage collector's business.

const LEAST_ROWS = 16;
/** Numbers that push() stores, whatever a row has of them. */
const MOST_WIDTH = 7;

export class Rows {
  readonly width: number;
  words: Uint32Array;
  length = 0;

  /** Each row has so many numbers, at most 7. */
  constructor(width: number) {
    this.width = width;
    this.words = new Uint32Array(LEAST_ROWS * width + MOST_WIDTH);
  }

  push(a: number, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0): void {
    const at = this.length * this.width;
    if (at + MOST_WIDTH > this.words.length) this.reserve(2 * this.length);
    const { words } = this;
    // What is more than a row has is where the next one is going to be.
    words[at] = a;
    words[at + 1] = b;
    words[at + 2] = c;
    words[at + 3] = d;
    words[at + 4] = e;
    words[at + 5] = f;
    words[at + 6] = g;
    this.length += 1;
  }

  at(row: number, column: number): number {
    return this.words[row * this.width + column] as number;
  }

  /** Makes room for so many rows in one step. */
  reserve(rows: number): void {
    const length = rows * this.width + MOST_WIDTH;
    if (length <= this.words.length) return;
    const larger = new Uint32Array(length);
    larger.set(this.words);
    this.words = larger;
  }
}
