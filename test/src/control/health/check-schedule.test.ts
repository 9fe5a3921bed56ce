// When instances are checked: spread, jittered and bounded, on a clock that the test holds.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CheckSchedule, type Subject } from "../../../../src/control/health/check-schedule.ts";
import { Random } from "../../../support/random.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function randomOf(seed: number): () => number {
  const random = new Random(seed);
  return () => random.u32() / 2 ** 32;
}

interface Watched extends Subject {
  readonly startedMs: number[];
  readonly results: (string | undefined)[];
}

/** A check that takes so long. */
function subject(intervalMs: number, tookMs = 0): Watched {
  const startedMs: number[] = [];
  const results: (string | undefined)[] = [];
  return {
    intervalMs,
    startedMs,
    results,
    check: () => {
      startedMs.push(performance.now());
      return new Promise((resolve) => setTimeout(() => resolve(undefined), tookMs));
    },
    onResult: (result) => results.push(result),
  };
}

test("600 that are new at once are checked within an interval, evenly", async () => {
  const schedule = new CheckSchedule({ random: randomOf(1) });
  const subjects = Array.from({ length: 600 }, () => subject(10_000));
  const t0 = performance.now();
  for (const one of subjects) schedule.add(one);
  await vi.advanceTimersByTimeAsync(10_100);
  const firsts = subjects.map(({ startedMs }) => (startedMs[0] as number) - t0);
  const perSecond = Array.from({ length: 10 }, (_, s) => firsts.filter((ms) => Math.floor(ms / 1000) === s).length);
  for (const count of perSecond) expect(count).toBeGreaterThan(30);
  for (const count of perSecond) expect(count).toBeLessThan(90);
  schedule.close();
});

test("checks of one begin an interval apart, give or take a tenth, however long they take", async () => {
  const schedule = new CheckSchedule({ random: randomOf(2) });
  const one = subject(1000, 700);
  schedule.add(one);
  await vi.advanceTimersByTimeAsync(60_000);
  const pauses = one.startedMs.slice(1).map((ms, i) => ms - (one.startedMs[i] as number));
  expect(pauses.length).toBeGreaterThan(50);
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(899);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(1101);
  expect(new Set(pauses.map(Math.round)).size).toBeGreaterThan(20);
  schedule.close();
});

test("no more than so many are under way, and all get their turn", async () => {
  const schedule = new CheckSchedule({ random: randomOf(3), concurrentMax: 8 });
  const subjects = Array.from({ length: 100 }, () => subject(1000, 500));
  for (const one of subjects) schedule.add(one);
  let most = 0;
  for (let i = 0; i < 400; i++) {
    await vi.advanceTimersByTimeAsync(50);
    most = Math.max(most, schedule.load.running);
  }
  expect(most).toBe(8);
  const counts = subjects.map(({ results }) => results.length);
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(2); // 16 a second for 100
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  schedule.close();
});

test("one that is removed is checked no more, and what is under way says nothing", async () => {
  const schedule = new CheckSchedule({ random: () => 0 });
  const one = subject(1000, 100);
  schedule.add(one);
  await vi.advanceTimersByTimeAsync(50);
  expect(one.startedMs).toHaveLength(1);
  schedule.remove(one);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(one.startedMs).toHaveLength(1);
  expect(one.results).toEqual([]);
  expect(schedule.load).toEqual({ waiting: 0, running: 0 });
  expect(vi.getTimerCount()).toBe(0);
});

test("without anybody to check there is no timer", () => {
  new CheckSchedule().close();
  expect(vi.getTimerCount()).toBe(0);
});
