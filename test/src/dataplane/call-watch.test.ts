import { expect, test } from "vitest";
import { CallWatch } from "../../../src/dataplane/call-watch.ts";

/** Looks at one word that has these values in turn; answers at which of them it was overdue. */
function overdueAt(sequences: readonly number[], looks = 3): number[] {
  let now = 0;
  const watch = new CallWatch([{ sequence: () => now, looks }]);
  return sequences.flatMap((sequence, index) => {
    now = sequence;
    return watch.look().length > 0 ? [index] : [];
  });
}

test.each([
  ["a call that stays", [1, 1, 1, 1, 1, 1], [3]],
  ["a call that was there at the first look and stays", [0, 1, 1, 1, 1], [4]],
  ["one call after the other", [1, 3, 5, 7, 9, 11], []],
  ["a call that returns in time", [1, 1, 1, 2, 2, 2, 2], []],
  ["no call", [4, 4, 4, 4, 4, 4], []],
  ["a second call that stays", [1, 1, 1, 3, 3, 3, 3], [6]],
  ["a call whose number wrapped to below 0", [-1, -1, -1, -1], [3]],
])("%s", (_what, sequences, expected) => {
  expect(overdueAt(sequences)).toEqual(expected);
});

test("each call has its own limit", () => {
  const watch = new CallWatch([
    { sequence: () => 1, looks: 2 },
    { sequence: () => 1, looks: 1 },
  ]);
  expect([watch.look(), watch.look(), watch.look(), watch.look()]).toEqual([[], [1], [0], []]);
});
