// Finds calls that do not return. A call has a word that is odd inside and changes with each call; the watch looks at
// the words from time to time. It counts looks instead of reading a clock, so that a machine or process that was
// stopped for a while makes no call overdue, and asks how much processor time the caller's thread had meanwhile, so that
// one that did not get any is not overdue either.

import { processCpuMs } from "../../sys/thread-clock.ts";

export interface WatchedCall {
  /** Odd inside a call, and another number in each. */
  readonly sequence: () => number;
  /** Overdue when as many looks after the first one still find the same call ... */
  readonly looks: number;
  /** ... and the thread had as much processor time since; asked where the thread's time is known. */
  readonly cpuLimitMs?: number;
  readonly cpuMs?: () => number | undefined;
}

interface OverdueCall {
  readonly index: number;
  /** How many times its limit has passed. */
  readonly times: number;
}

interface Sight {
  sequence: number;
  looks: number;
  times: number; // that it was told as overdue
  cpuMs: number; // of the thread when the call was seen first
}

export class CallWatch {
  readonly #calls: readonly WatchedCall[];
  readonly #sights: readonly Sight[];

  constructor(calls: readonly WatchedCall[]) {
    this.#calls = calls;
    this.#sights = calls.map(() => ({ sequence: 0, looks: 0, times: 0, cpuMs: 0 }));
  }

  /** The calls that have just become overdue, or whose limit has passed once more. A rare look counts as several. */
  look(looks = 1): OverdueCall[] {
    return this.#calls.flatMap((call, index) => {
      const sight = this.#sights[index] as Sight;
      const sequence = call.sequence();
      const isInside = (sequence & 1) === 1;
      if (sequence !== sight.sequence) {
        Object.assign(sight, { sequence, looks: 0, times: 0, cpuMs: isInside ? (call.cpuMs?.() ?? 0) : 0 });
        return [];
      }
      sight.looks += looks;
      if (!isInside || !isOverdue(call, sight)) return [];
      sight.times += 1;
      return [{ index, times: sight.times }];
    });
  }
}

interface WatchedThread {
  /** Its word, of which `sequence` of a WatchedCall is said. */
  readonly word: Int32Array;
  readonly looksEveryMs: number;
  /** Of time, and of processor time of this process. */
  readonly limitMs: number;
  readonly cpuLimitMs: number;
}

/** Looks at the one call at a time that a thread makes, until it is overdue or the function that this returns is called. */
export function watchThread(
  { word, looksEveryMs, limitMs, cpuLimitMs }: WatchedThread,
  onOverdue: () => void,
): () => void {
  const sequence = (): number => Atomics.load(word, 0);
  const looks = Math.ceil(limitMs / looksEveryMs);
  const watch = new CallWatch([{ sequence, looks, cpuLimitMs, cpuMs: processCpuMs }]);
  const timer = setInterval(() => {
    if (watch.look().length === 0) return;
    clearInterval(timer);
    onOverdue();
  }, looksEveryMs);
  return () => clearInterval(timer);
}

function isOverdue({ looks, cpuLimitMs = 0, cpuMs }: WatchedCall, sight: Sight): boolean {
  const times = sight.times + 1;
  if (sight.looks < looks * times) return false;
  const nowMs = cpuMs?.();
  return nowMs === undefined || nowMs - sight.cpuMs >= cpuLimitMs * times;
}
