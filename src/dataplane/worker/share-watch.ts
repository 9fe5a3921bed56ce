// Finds policies that take too much of a worker's time, call by call: each call may be short enough, and the worker has
// no time for packets all the same. A sample says in which policy's call the worker is at the moment; what counts is
// how many of the last samples found it in the same one. That costs the worker nothing.

/** Not in a call. */
export const NO_SLOT = -1;

export class ShareWatch {
  readonly #samples: Int32Array;
  readonly #most: number;
  readonly #found = new Map<number, number>(); // samples by slot
  #next = 0;

  /** A policy may be in at most `share` (0 to 1) of the last `samples`. */
  constructor(samples: number, share: number) {
    this.#samples = new Int32Array(samples).fill(NO_SLOT);
    this.#most = Math.floor(samples * share);
  }

  /** Whether the policy in `slot`, in whose call the worker was found, has had more than its share. */
  add(slot: number): boolean {
    const oldest = this.#samples[this.#next] as number;
    this.#samples[this.#next] = slot;
    this.#next = (this.#next + 1) % this.#samples.length;
    this.#count(oldest, -1);
    this.#count(slot, 1);
    return slot !== NO_SLOT && (this.#found.get(slot) ?? 0) > this.#most;
  }

  /** The slot has another module from now on. */
  forget(slot: number): void {
    for (let i = 0; i < this.#samples.length; i++) if (this.#samples[i] === slot) this.#samples[i] = NO_SLOT;
    this.#found.delete(slot);
  }

  #count(slot: number, change: number): void {
    if (slot !== NO_SLOT) this.#found.set(slot, (this.#found.get(slot) ?? 0) + change);
  }
}
