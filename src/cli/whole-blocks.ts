// Of a pcapng file that arrives in pieces, the blocks that are whole: whoever ends it at any time leaves a file that
// programs read.

import { SapwoodError } from "../base/errors.ts";

const HEAD = 8; // type and length
const BLOCK_MIN = 12;

export class WholeBlocks {
  #rest: Buffer = Buffer.alloc(0);
  #missing = 0; // bytes of the block in hand that have not come

  /** The blocks that this piece completes. */
  add(piece: Buffer): Buffer {
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    if (this.#rest.length < this.#missing) return Buffer.alloc(0);
    let end = 0;
    this.#missing = 0;
    while (this.#missing === 0) {
      const left = this.#rest.length - end;
      const length = left < HEAD ? HEAD : this.#rest.readUInt32LE(end + 4);
      if (left >= HEAD && length < BLOCK_MIN) {
        throw new SapwoodError("internal", `Expected a pcapng block of ${BLOCK_MIN} bytes or more, found ${length}.`);
      }
      if (length <= left && left >= HEAD) end += length;
      else this.#missing = length;
    }
    const whole = this.#rest.subarray(0, end);
    this.#rest = this.#rest.subarray(end);
    return whole;
  }
}
