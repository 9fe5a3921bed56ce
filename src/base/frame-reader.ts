// Frames in a stream of bytes: each begins with the length of what follows, little-endian.

export const LENGTH_BYTES = 4;

/** Takes frames out of parts of any length, and hands each on with its length. */
export class FrameReader {
  readonly #visit: (frame: Buffer) => void;
  #parts: Buffer[] = [];
  #length = 0;
  #wanted = LENGTH_BYTES;

  constructor(visit: (frame: Buffer) => void) {
    this.#visit = visit;
  }

  take(part: Buffer): void {
    this.#parts.push(part);
    this.#length += part.length;
    if (this.#length < this.#wanted) return;
    const bytes = this.#parts.length === 1 ? part : Buffer.concat(this.#parts);
    let at = 0;
    for (;;) {
      const left = bytes.length - at;
      this.#wanted = LENGTH_BYTES + (left < LENGTH_BYTES ? 0 : bytes.readUInt32LE(at));
      if (left < this.#wanted) break;
      this.#visit(bytes.subarray(at, at + this.#wanted));
      at += this.#wanted;
    }
    this.#parts = [bytes.subarray(at)];
    this.#length = bytes.length - at;
  }
}
