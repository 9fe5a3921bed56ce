// How often the watch over calls looks, by a clock of the test; a call of a policy is what a worker does to the word.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PolicyBoard, WATCH_LOOKS, WATCH_SLEEPS } from "../../../../src/dataplane/modules/policy-board.ts";
import { WatchPace } from "../../../../src/dataplane/worker/watch-pace.ts";

let looks: number[]; // steps of each
let isAsked: boolean;
let pace: WatchPace;
const word = PolicyBoard.create(2).watch;

beforeEach(() => {
  vi.useFakeTimers();
  looks = [];
  isAsked = false;
  const look = (steps: number): boolean => {
    looks.push(steps);
    return isAsked;
  };
  pace = new WatchPace({ word, fastMs: 10, look });
});
afterEach(() => {
  pace.close();
  vi.useRealTimers();
});

test("looks all the time for a second, and then once a second", async () => {
  await vi.advanceTimersByTimeAsync(1000);
  expect(looks).toEqual(new Array(100).fill(1));
  expect(word[0]).toBe(WATCH_SLEEPS);
  looks = [];
  await vi.advanceTimersByTimeAsync(10_000);
  expect(looks).toEqual(new Array(10).fill(100));
});

test("never sleeps while policies are asked", async () => {
  isAsked = true;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(looks).toHaveLength(1000);
});

test("is woken by a call", async () => {
  await vi.advanceTimersByTimeAsync(1001);
  Atomics.store(word, 0, WATCH_LOOKS);
  expect(Atomics.notify(word, 0)).toBe(1);
  looks = [];
  vi.useRealTimers();
  await expect.poll(() => looks.length).toBeGreaterThan(5);
});

test("a look that finds a call which woke nobody wakes it", async () => {
  await vi.advanceTimersByTimeAsync(1001);
  isAsked = true;
  await vi.advanceTimersByTimeAsync(1100);
  expect(word[0]).toBe(WATCH_LOOKS);
});

test("looks no more when it is closed, also when it slept", async () => {
  await vi.advanceTimersByTimeAsync(1001);
  pace.close();
  looks = [];
  await vi.advanceTimersByTimeAsync(10_000);
  expect(looks).toEqual([]);
});
