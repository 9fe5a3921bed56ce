// Finds calls that do not return. A call has a word that is odd inside and changes with each call; the watch looks at
// the words from time to time. It counts looks instead of reading a clock, so that a machine or process that stood
// still for a while makes no call overdue.

export interface WatchedCall {
  /** Odd inside a call, and another number in each. */
  readonly sequence: () => number;
  /** Overdue when as many looks after the first one still find the same call. */
  readonly looks: number;
}

interface Sight {
  sequence: number;
  looks: number;
}

export class CallWatch {
  readonly #calls: readonly WatchedCall[];
  readonly #sights: readonly Sight[];

  constructor(calls: readonly WatchedCall[]) {
    this.#calls = calls;
    this.#sights = calls.map(() => ({ sequence: 0, looks: 0 }));
  }

  /** Indices of the calls that have just become overdue. */
  look(): number[] {
    return this.#sights.flatMap((sight, index) => {
      const call = this.#calls[index];
      const sequence = call?.sequence() ?? 0;
      sight.looks = sequence === sight.sequence ? sight.looks + 1 : 0;
      sight.sequence = sequence;
      return (sequence & 1) === 1 && sight.looks === call?.looks ? [index] : [];
    });
  }
}
