// Puts an engine that captures in the place of a worker's engine, and takes it away again.

import type { WorkerArea } from "../io/device.ts";
import type { EngineExports } from "../modules/engine-contract.ts";
import type { CaptureOrders } from "./capture-contract.ts";
import { CaptureTap } from "./capture-tap.ts";
import { CapturingEngine } from "./capturing-engine.ts";

export class CaptureSwitch {
  readonly #area: WorkerArea;
  #tap: CaptureTap | undefined;

  constructor(area: WorkerArea) {
    this.#area = area;
  }

  /** What to capture from now on. It is so when around() was asked. */
  set(captures: CaptureOrders | undefined): void {
    const ring = captures?.rings[this.#area.worker];
    this.#tap =
      captures === undefined || ring === undefined || captures.filters.length === 0
        ? undefined
        : new CaptureTap(this.#area, ring, captures.filters, wallClockUs);
  }

  /** The engine, or one around it; an engine that captured before is taken out of its wrapper. */
  around(engine: EngineExports): EngineExports {
    const plain = engine instanceof CapturingEngine ? engine.engine : engine;
    if (this.#tap === undefined) {
      CapturingEngine.stopNoting(this.#area); // a predecessor of this worker may have died while it captured
      return plain;
    }
    return new CapturingEngine(plain, this.#area, this.#tap);
  }
}

/** Microseconds since 1970; allocates nothing. */
function wallClockUs(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}
