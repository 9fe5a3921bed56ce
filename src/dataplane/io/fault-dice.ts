// Draws the faults of one device: a generator of its own, so that what one device does changes nothing of the others,
// and a counter that says how many there were.

import { Counter } from "../../../assembly/shared/counters.ts";
import type { WorkerArea } from "./device.ts";

export class FaultDice {
  readonly #area: WorkerArea;
  #state: number;

  /** `device` tells the devices of a worker apart. */
  constructor(seed: number, area: WorkerArea, device: number) {
    this.#area = area;
    this.#state = (Math.imul(seed, 0x9e3779b1) + Math.imul(2 * area.worker + device + 1, 0x85ebca6b)) >>> 0;
  }

  /** Whether a fault of this share happens now; counts it then. */
  happens(share: number): boolean {
    if (share === 0 || this.#u32() >= share * 2 ** 32) return false;
    this.#area.count(Counter.faultsInjected, 1);
    return true;
  }

  /** Uniform in 0...limit-1. */
  below(limit: number): number {
    return Math.floor((this.#u32() / 2 ** 32) * limit);
  }

  /** mulberry32. */
  #u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}
