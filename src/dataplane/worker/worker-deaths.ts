// Puts the flow table in order when a worker has ended in the middle of a call of the engine, while the others wait
// outside (src/memory/flow-repair.ts). Promises: a lock that the worker held is free at once, and no worker enters a call
// before the table is whole.

import { FlowTableRepair } from "../../memory/flow-repair.ts";

export class WorkerDeaths {
  readonly #table: FlowTableRepair;
  readonly #unrepaired = new Set<number>(); // workers
  #repairing: Promise<void> = Promise.resolve();
  #isRepairing = false;

  constructor(memory: WebAssembly.Memory) {
    this.#table = new FlowTableRepair(memory);
  }

  /** The thread of a worker has ended, perhaps in a call. To be called before the next one starts. */
  note(worker: number, wasInside: boolean): void {
    this.#table.releaseLock(worker);
    if (!wasInside) return;
    this.#unrepaired.add(worker);
    this.#table.beginRepair();
    if (!this.#isRepairing) this.#repairing = this.#repair();
  }

  /** Resolves when the table is whole. */
  settled(): Promise<void> {
    return this.#repairing;
  }

  /** Another worker may die while this one waits for it. */
  async #repair(): Promise<void> {
    this.#isRepairing = true;
    while (this.#unrepaired.size > 0) {
      await this.#table.allOutside();
      this.#table.repair(this.#unrepaired);
      this.#unrepaired.clear();
    }
    this.#isRepairing = false;
    this.#table.endRepair();
  }
}
