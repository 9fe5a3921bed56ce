// Places of candidate lists in their region: a buddy allocator, so that any mix of short and long lists that came and
// went leaves room that the next list can use.

export interface CandidateRange {
  readonly first: number; // index of the first candidate
  readonly order: number; // room for 2^order
}

export class CandidateRanges {
  /** First candidates of the free blocks, by order. */
  readonly #free: Set<number>[];

  /** `size` is a power of two. */
  constructor(size: number) {
    const top = Math.log2(size);
    this.#free = Array.from({ length: top + 1 }, (_, order) => new Set(order === top ? [0] : []));
  }

  /** Room for `count` candidates, or undefined when there is none. */
  take(count: number): CandidateRange | undefined {
    const order = Math.ceil(Math.log2(Math.max(1, count)));
    let from = order;
    while (this.#free[from]?.size === 0) from += 1;
    const block = this.#free[from];
    if (block === undefined) return undefined;
    const [first = 0] = block;
    block.delete(first);
    // The upper half of each split stays free.
    for (let split = from - 1; split >= order; split--) this.#free[split]?.add(first + 2 ** split);
    return { first, order };
  }

  give(range: CandidateRange): void {
    let { first, order } = range;
    for (; order + 1 < this.#free.length; order++) {
      const size = 2 ** order;
      const isUpper = (first / size) % 2 === 1;
      const buddy = isUpper ? first - size : first + size;
      if (this.#free[order]?.delete(buddy) !== true) break;
      if (isUpper) first = buddy;
    }
    this.#free[order]?.add(first);
  }
}
