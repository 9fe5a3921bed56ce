import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CommonInterval } from "../../../src/base/common-interval.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("those of one period act at the same moments, whenever they began", async () => {
  const moments: number[][] = [[], []];
  const begin = (which: number): CommonInterval =>
    new CommonInterval(500, () => moments[which]?.push(Math.round(performance.now())));
  const intervals = [begin(0)];
  await vi.advanceTimersByTimeAsync(123);
  intervals.push(begin(1));
  await vi.advanceTimersByTimeAsync(10_000);
  for (const interval of intervals) interval.close();
  expect(moments[1]).toHaveLength(20);
  expect(moments[0]?.slice(-20)).toEqual(moments[1]);
});

test("one that is closed acts no more, also when its own action closes it", async () => {
  let acts = 0;
  const interval = new CommonInterval(500, () => {
    acts += 1;
    if (acts === 2) interval.close();
  });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(acts).toBe(2);
});

test("an action that fails does not end it", async () => {
  let acts = 0;
  const interval = new CommonInterval(500, () => {
    acts += 1;
    throw new Error("failed");
  });
  await expect(vi.advanceTimersByTimeAsync(500)).rejects.toThrow("failed");
  await expect(vi.advanceTimersByTimeAsync(500)).rejects.toThrow("failed");
  interval.close();
  expect(acts).toBe(2);
});
