// Puts packets of several workers in the order of their times: each worker's are in order, and a capture takes from one
// worker after the other. Bounded, so that no file fills the memory.

interface Timed {
  readonly timeUs: number;
  readonly bytes: Uint8Array;
}

/** Many times the pause between two looks of a capture at the workers. */
const WINDOW_US = 500_000;
const PACKETS_MAX = 2048;
const BYTES_MAX = 2 ** 26;

export class TimeOrder<Packet extends Timed> {
  #waiting: Packet[] = [];
  #bytes = 0;

  /** The packets whose turn it is when this one is there. */
  *add(packet: Packet): Generator<Packet> {
    let at = this.#waiting.length;
    while (at > 0 && (this.#waiting[at - 1] as Packet).timeUs > packet.timeUs) at -= 1;
    this.#waiting.splice(at, 0, packet);
    this.#bytes += packet.bytes.length;
    const newestUs = (this.#waiting.at(-1) as Packet).timeUs;
    let count = 0;
    for (const { timeUs, bytes } of this.#waiting) {
      const isFull = this.#waiting.length - count > PACKETS_MAX || this.#bytes > BYTES_MAX;
      if (!isFull && newestUs - timeUs < WINDOW_US) break;
      this.#bytes -= bytes.length;
      count += 1;
    }
    if (count > 0) yield* this.#waiting.splice(0, count);
  }

  /** Those that are left. */
  *rest(): Generator<Packet> {
    yield* this.#waiting.splice(0);
  }
}
