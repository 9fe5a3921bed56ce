import { expect, test } from "vitest";
import { NO_SLOT, ShareWatch } from "../../../../src/dataplane/worker/share-watch.ts";

/** At which of the samples a policy had more than half of the last ten. */
function greedyAt(slots: readonly number[]): number[] {
  const watch = new ShareWatch(10, 0.5);
  return slots.flatMap((slot, index) => (watch.add(slot) ? [index] : []));
}

const repeat = (pattern: readonly number[], times: number): number[] =>
  Array.from({ length: times }, () => pattern).flat();

test.each([
  ["always in one policy", repeat([7], 8), [5, 6, 7]],
  ["half of the time", repeat([7, NO_SLOT], 50), []],
  ["a little more than half", [...repeat([7, NO_SLOT], 5), 7, 7, 7], [11, 12]],
  ["in two policies in turn", repeat([3, 4], 50), []],
  ["long ago", [...repeat([7], 5), ...repeat([NO_SLOT], 10), ...repeat([7], 5)], []],
  ["in none", repeat([NO_SLOT], 50), []],
])("%s", (_what, slots, expected) => {
  expect(greedyAt(slots)).toEqual(expected);
});

test("a slot that has another module begins anew, and the others do not", () => {
  const watch = new ShareWatch(10, 0.5);
  for (let i = 0; i < 4; i++) watch.add(7);
  watch.add(8);
  watch.forget(7);
  expect([7, 7, 7, 7, 7].map((slot) => watch.add(slot))).toEqual([false, false, false, false, false]);
  expect(watch.add(7)).toBe(true);
});
