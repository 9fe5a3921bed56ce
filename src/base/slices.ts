// Long work of the main thread in slices, between which the event loop has its turn: requests to the control socket are
// answered, and workers are watched.

import { setImmediate } from "node:timers/promises";

const SLICE_MS = 4;
/** Items of a loop between two looks at the clock. */
const LOOK_ITEMS = 16;

export class Slices {
  #endMs = performance.now() + SLICE_MS;

  /** Does something with each item. */
  async each<Item>(items: Iterable<Item>, visit: (item: Item, index: number) => void): Promise<void> {
    let index = 0;
    for (const item of items) {
      if (index % LOOK_ITEMS === 0 && performance.now() >= this.#endMs) await this.#rest();
      visit(item, index);
      index += 1;
    }
  }

  /** Does something so many times. */
  async times(count: number, visit: (index: number) => void): Promise<void> {
    for (let index = 0; index < count; index++) {
      if (index % LOOK_ITEMS === 0 && performance.now() >= this.#endMs) await this.#rest();
      visit(index);
    }
  }

  async #rest(): Promise<void> {
    await setImmediate();
    this.#endMs = performance.now() + SLICE_MS;
  }
}
