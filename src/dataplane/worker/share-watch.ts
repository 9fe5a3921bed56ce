// Finds policies that take too much of a worker's time, call by call: each call may be short enough, and the worker has
// no time for packets all the same. A sample says in which policy's call the worker is at the moment; what counts is
// how many of the last samples found it in any. So policies that take turns have no more than one alone. That costs the
// worker nothing.

/** Not in a call. */
export const NO_SLOT = -1;

export class ShareWatch {
  readonly #samples: Int32Array;
  readonly #most: number;
  readonly #found = new Map<number, number>(); // samples by slot
  #total = 0; // samples in any
  #next = 0;

  /** A worker may be in calls of policies in at most `share` (0 to 1) of the last `samples`. */
  constructor(samples: number, share: number) {
    this.#samples = new Int32Array(samples).fill(NO_SLOT);
    this.#most = Math.floor(samples * share);
  }

  /**
   * Takes a sample: the slot of the policy in whose call the worker was found, or NO_SLOT. Returns the slot that has
   * most of the samples when all together have more than their share, else NO_SLOT.
   */
  add(slot: number): number {
    const oldest = this.#samples[this.#next] as number;
    this.#samples[this.#next] = slot;
    this.#next = (this.#next + 1) % this.#samples.length;
    this.#count(oldest, -1);
    this.#count(slot, 1);
    return slot !== NO_SLOT && this.#total > this.#most ? this.#greediest() : NO_SLOT;
  }

  /** The slot has another module from now on: what the one before took counts no more, not even for all together. */
  forget(slot: number): void {
    for (let i = 0; i < this.#samples.length; i++) if (this.#samples[i] === slot) this.#samples[i] = NO_SLOT;
    this.#count(slot, -(this.#found.get(slot) ?? 0));
  }

  #greediest(): number {
    let [greediest, most] = [NO_SLOT, 0];
    for (const [slot, count] of this.#found) if (count > most) [greediest, most] = [slot, count];
    return greediest;
  }

  #count(slot: number, change: number): void {
    if (slot === NO_SLOT) return;
    this.#found.set(slot, (this.#found.get(slot) ?? 0) + change);
    this.#total += change;
  }
}
