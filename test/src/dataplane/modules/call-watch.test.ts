import { expect, test } from "vitest";
import { CallWatch } from "../../../../src/dataplane/modules/call-watch.ts";

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
  const overdue = (index: number, times: number) => ({ index, times });
  expect([watch.look(), watch.look(), watch.look()]).toEqual([[], [overdue(1, 1)], [overdue(0, 1), overdue(1, 2)]]);
});

test("a call is told again each time that its limit has passed, until it returns", () => {
  let now = 1;
  const watch = new CallWatch([{ sequence: () => now, looks: 2 }]);
  const told = Array.from({ length: 6 }, () => watch.look().map(({ times }) => times));
  expect(told).toEqual([[], [], [1], [], [2], []]);
  now = 3;
  expect([watch.look(), watch.look()]).toEqual([[], []]);
  expect(watch.look()).toEqual([{ index: 0, times: 1 }]);
});

test("a call whose thread had no processor time is not overdue until it had some", () => {
  let usedMs = 500;
  const watch = new CallWatch([{ sequence: () => 1, looks: 2, cpuLimitMs: 10, cpuMs: () => usedMs }]);
  const look = (): number => watch.look().length;
  expect([look(), look(), look(), look()]).toEqual([0, 0, 0, 0]);
  usedMs = 509;
  expect(look()).toBe(0);
  usedMs = 510;
  expect(look()).toBe(1);
});

test("a thread whose time is not known is judged by looks alone", () => {
  const watch = new CallWatch([{ sequence: () => 1, looks: 1, cpuLimitMs: 10, cpuMs: () => undefined }]);
  expect([watch.look().length, watch.look().length]).toEqual([0, 1]);
});
