// Whether counts are what chance makes of the expected shares.

/** z of the limits below: a right generator exceeds it with about one seed of 30,000. */
const Z = 4;

/**
 * How far the counts are from those expected, by Pearson's chi-square as a part of its limit (Wilson and Hilferty's
 * approximation): above 1 they are not what chance makes of the expected shares. Every expected count should be 5 or
 * more.
 */
export function chiSquareOfLimit(counts: readonly number[], shares: readonly number[]): number {
  if (counts.length !== shares.length) throw new RangeError(`${counts.length} counts, ${shares.length} shares`);
  const total = sum(counts);
  const shareSum = sum(shares);
  const statistic = sum(
    counts.map((count, i) => {
      const expected = (total * (shares[i] ?? 0)) / shareSum;
      return (count - expected) ** 2 / expected;
    }),
  );
  const degrees = counts.length - 1;
  if (degrees === 0) return 0;
  const spread = 2 / (9 * degrees);
  return statistic / (degrees * (1 - spread + Z * Math.sqrt(spread)) ** 3);
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
