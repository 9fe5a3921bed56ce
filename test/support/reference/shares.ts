// How the slow twin shares the room in which packets wait (docs/packet-path.md, "Who waits at whose cost"): when it is
// full, whoever has more than another one would have makes place for that one.

/** A packet that waits, of whom, and its bytes. */
export interface Waiting {
  readonly owner: string;
  readonly length: number;
}

/** Room comes in blocks, in which each packet has some bytes in front. */
const BLOCK = 2048;
const IN_FRONT = 64;

export function blocksOf(length: number): number {
  return Math.ceil((IN_FRONT + length) / BLOCK);
}

/**
 * Who has to make place so that `claimant` may have a packet of so many bytes more: who has most, of equals the one who
 * had it first. Nobody, if nobody has as much as the claimant would have then. Who waits for its turn only claims
 * nothing.
 */
export function largestOwner(
  waiting: readonly Waiting[],
  claimant: string | undefined,
  length: number,
): string | undefined {
  const totals = new Map<string, number>();
  let largest: string | undefined;
  for (const one of waiting) {
    const total = (totals.get(one.owner) ?? 0) + blocksOf(one.length);
    totals.set(one.owner, total);
    if (largest === undefined || total > (totals.get(largest) ?? 0)) largest = one.owner;
  }
  const own = claimant === undefined ? 0 : (totals.get(claimant) ?? 0);
  return largest !== undefined && (totals.get(largest) ?? 0) >= own + blocksOf(length) ? largest : undefined;
}
