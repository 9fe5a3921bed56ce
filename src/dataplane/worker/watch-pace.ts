// How often the watch over calls looks: all the time while policies are asked, now and then while they are not. Policies
// are asked when flows begin, and then by worker threads: the first call wakes the watch at once.
// Promises: while nobody asks a policy, it wakes the main thread SLOW_MS apart.

import { CommonInterval } from "../../base/common-interval.ts";
import { WATCH_LOOKS, WATCH_SLEEPS } from "../modules/policy-board.ts";

/** The calls of engines are looked at so often also then; they may take several times as long. */
const SLOW_MS = 1000;
/** Without a call of a policy for so long, the watch sleeps: what it knows of their time is from the last second. */
const AWAKE_MS = 1000;

interface WatchPaceOptions {
  /** PolicyBoard.watch. */
  readonly word: Int32Array;
  readonly fastMs: number;
  /** Looks; `steps` of `fastMs` each are over since the last time. Returns whether a policy was asked since then. */
  readonly look: (steps: number) => boolean;
}

export class WatchPace {
  readonly #options: WatchPaceOptions;
  readonly #slowMs: number;
  #fast: NodeJS.Timeout | undefined;
  #slow: CommonInterval | undefined;
  #quietMs = 0;
  #isClosed = false;

  constructor(options: WatchPaceOptions) {
    this.#options = options;
    this.#slowMs = Math.max(SLOW_MS, options.fastMs);
    this.#lookAlways();
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
    this.#wake();
  }

  #lookAlways(): void {
    const { fastMs, look } = this.#options;
    this.#quietMs = 0;
    this.#stop();
    this.#fast = setInterval(() => {
      this.#quietMs = look(1) ? 0 : this.#quietMs + fastMs;
      if (this.#quietMs >= AWAKE_MS) this.#sleep();
    }, fastMs).unref();
  }

  #sleep(): void {
    const { word, fastMs, look } = this.#options;
    this.#stop();
    this.#slow = new CommonInterval(this.#slowMs, () => {
      if (look(this.#slowMs / fastMs)) this.#wake();
    });
    Atomics.store(word, 0, WATCH_SLEEPS);
    const { async, value } = Atomics.waitAsync(word, 0, WATCH_SLEEPS);
    if (!async) return this.#lookAlways(); // a call came first
    void value.then(() => {
      if (!this.#isClosed) this.#lookAlways();
    });
  }

  #stop(): void {
    clearInterval(this.#fast);
    this.#slow?.close();
  }

  #wake(): void {
    Atomics.store(this.#options.word, 0, WATCH_LOOKS);
    Atomics.notify(this.#options.word, 0);
  }
}
