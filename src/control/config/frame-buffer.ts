// Frames of services as bytes, handed on some hundred KiB at a time. A frame that was begun may be begun anew.

import { LENGTH_BYTES } from "../../base/frame-reader.ts";
import { PackedWriter } from "../../model/packed-writer.ts";

const FULL_BYTES = 256 * 1024;

export class FrameBuffer extends PackedWriter {
  readonly #write: (frames: Uint8Array) => void;
  #frameFrom = 0;

  constructor(write: (frames: Uint8Array) => void) {
    super();
    this.#write = write;
  }

  /** What the frame had so far is gone. */
  begin(): void {
    this.end = this.#frameFrom;
  }

  /** The frame is complete: its length goes to where it began. */
  finish(from: number): void {
    this.putU32(from, this.end - from - LENGTH_BYTES);
    this.#frameFrom = this.end;
    if (this.end >= FULL_BYTES) this.flush();
  }

  /** Hands on the frames that are complete. */
  flush(): void {
    if (this.#frameFrom > 0) this.#write(this.bytes.subarray(0, this.#frameFrom));
    this.end = this.#frameFrom = 0;
  }
}
