// When which instance is checked. Promises: checks of one instance begin an interval apart, give or take a tenth; those
// of many instances are spread over it, also when all of them are new at once; never more than CONCURRENT_MAX are under
// way, and the others wait in their order. Without an instance to check there is no timer.

import type { CheckResult } from "./health-check.ts";

export interface Subject {
  readonly intervalMs: number;
  readonly check: () => Promise<CheckResult>;
  readonly onResult: (result: CheckResult) => void;
}

interface ScheduleOptions {
  /** From 0 to 1. */
  readonly random?: () => number;
  readonly concurrentMax?: number;
}

/** Each takes a descriptor of the process. */
const CONCURRENT_MAX = 256;
const JITTER = 0.1;

export class CheckSchedule {
  readonly #random: () => number;
  readonly #concurrentMax: number;
  readonly #timers = new Map<Subject, NodeJS.Timeout | undefined>(); // undefined: it waits or is being checked
  readonly #waiting = new Set<Subject>();
  #running = 0;

  constructor({ random = Math.random, concurrentMax = CONCURRENT_MAX }: ScheduleOptions = {}) {
    this.#random = random;
    this.#concurrentMax = concurrentMax;
  }

  /** Checks that wait for others to end, and those under way. */
  get load(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.#waiting.size, running: this.#running };
  }

  /** First checked within an interval from now. */
  add(subject: Subject): void {
    this.#plan(subject, this.#random() * subject.intervalMs);
  }

  /** A check that is under way ends without a result. */
  remove(subject: Subject): void {
    clearTimeout(this.#timers.get(subject));
    this.#timers.delete(subject);
    this.#waiting.delete(subject);
  }

  close(): void {
    for (const subject of [...this.#timers.keys()]) this.remove(subject);
  }

  #plan(subject: Subject, inMs: number): void {
    this.#timers.set(subject, setTimeout(() => this.#take(subject), inMs).unref());
  }

  #take(subject: Subject): void {
    this.#timers.set(subject, undefined);
    this.#waiting.add(subject);
    this.#startNext();
  }

  #startNext(): void {
    for (const subject of this.#waiting) {
      if (this.#running >= this.#concurrentMax) return;
      this.#waiting.delete(subject);
      void this.#run(subject);
    }
  }

  async #run(subject: Subject): Promise<void> {
    const startedMs = performance.now();
    this.#running += 1;
    const result = await subject.check();
    this.#running -= 1;
    if (this.#timers.has(subject)) {
      const pauseMs = subject.intervalMs * (1 + JITTER * (2 * this.#random() - 1));
      this.#plan(subject, Math.max(0, pauseMs - (performance.now() - startedMs)));
      subject.onResult(result);
    }
    this.#startNext();
  }
}
