import { expect, test } from "vitest";
import { type CandidateRange, CandidateRanges } from "../../../src/memory/candidate-ranges.ts";
import { Random, testSeed } from "../../support/random.ts";

test("ranges in use never overlap, and all room comes back", () => {
  const random = new Random(testSeed(3));
  const size = 1024;
  const ranges = new CandidateRanges(size);
  const used = new Map<CandidateRange, number>();
  const taken = new Array<boolean>(size).fill(false);
  for (let i = 0; i < 5_000; i++) {
    if (random.chance(0.55)) {
      const count = random.between(1, 60);
      const range = ranges.take(count);
      if (range === undefined) continue;
      expect(range.first + count).toBeLessThanOrEqual(size);
      for (let at = range.first; at < range.first + count; at++) {
        expect(taken[at]).toBe(false);
        taken[at] = true;
      }
      used.set(range, count);
    } else if (used.size > 0) {
      const [range, count] = random.pick([...used]);
      taken.fill(false, range.first, range.first + count);
      ranges.give(range);
      used.delete(range);
    }
  }
  for (const range of used.keys()) ranges.give(range);
  expect(ranges.take(size)).toEqual({ first: 0, order: 10 });
  expect(ranges.take(1)).toBeUndefined();
});
