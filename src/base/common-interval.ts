// Repeats something at times that all others share: whole multiples of its period. An idle process then wakes once for
// all that it looks at now and then, instead of once for each.
// Promises: keeps no process alive.

/** Parts of a period by which a timer may be early. */
const EARLY_PARTS = 10;

export class CommonInterval {
  readonly #periodMs: number;
  readonly #action: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(periodMs: number, action: () => void) {
    this.#periodMs = periodMs;
    this.#action = action;
    this.#wait();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(): void {
    const leftMs = this.#periodMs - (performance.now() % this.#periodMs);
    const isEarly = leftMs < this.#periodMs / EARLY_PARTS;
    this.#timer = setTimeout(() => this.#act(), Math.ceil(isEarly ? leftMs + this.#periodMs : leftMs)).unref();
  }

  #act(): void {
    const timer = this.#timer;
    try {
      this.#action();
    } finally {
      if (this.#timer === timer) this.#wait(); // else it was closed
    }
  }
}
