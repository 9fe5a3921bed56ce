import { expect, test } from "vitest";
import { NO_SLOT, ShareWatch } from "../../../../src/dataplane/worker/share-watch.ts";

/** At which of the samples policies had more than half of the last ten, and which of them had most. */
function greedyAt(slots: readonly number[]): [at: number, slot: number][] {
  const watch = new ShareWatch(10, 0.5);
  return slots.flatMap((slot, index): [number, number][] => {
    const greedy = watch.add(slot);
    return greedy === NO_SLOT ? [] : [[index, greedy]];
  });
}

const repeat = (pattern: readonly number[], times: number): number[] =>
  Array.from({ length: times }, () => pattern).flat();

test.each([
  [
    "always in one policy",
    repeat([7], 8),
    [
      [5, 7],
      [6, 7],
      [7, 7],
    ],
  ],
  ["half of the time", repeat([7, NO_SLOT], 50), []],
  [
    "a little more than half",
    [...repeat([7, NO_SLOT], 5), 7, 7, 7],
    [
      [11, 7],
      [12, 7],
    ],
  ],
  [
    "in two policies in turn",
    repeat([3, 4], 4),
    [
      [5, 3],
      [6, 3],
      [7, 3],
    ],
  ],
  [
    "in three policies, in one of them more often",
    [...repeat([3, 4, 4, 5], 2)],
    [
      [5, 4],
      [6, 4],
      [7, 4],
    ],
  ],
  ["in ten policies in turn, half of the time", repeat([1, NO_SLOT, 2, NO_SLOT, 3, NO_SLOT, 4, NO_SLOT], 9), []],
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
  expect([7, 7, 7, 7].map((slot) => watch.add(slot))).toEqual([NO_SLOT, NO_SLOT, NO_SLOT, NO_SLOT]);
  expect(watch.add(7)).toBe(7); // with the one of 8
});

test("when policies take turns, one after the other is named until the rest has its share", () => {
  const watch = new ShareWatch(10, 0.5);
  const named = repeat([1, 2, 3], 20).map((slot) => {
    const greedy = watch.add(slot);
    watch.forget(greedy);
    return greedy;
  });
  expect(new Set(named)).toEqual(new Set([NO_SLOT, 1, 2, 3]));
});
