// How often each worker was started again, and whether one is lost for good.

import { SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { WorkerEnd } from "../../dataplane/worker/worker-thread.ts";

export class WorkerWatch {
  /** By worker. */
  readonly restarts: number[];
  /** Rejects when a worker stays down; otherwise it stays pending. */
  readonly failure: Promise<never>;
  readonly #log: Logger;
  #fail: (error: SapwoodError) => void = () => undefined;

  constructor(workerCount: number, log: Logger) {
    this.restarts = new Array<number>(workerCount).fill(0);
    this.#log = log;
    this.failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failure.catch(() => undefined); // may happen before anybody waits for it
  }

  onEnd({ worker, error, restartInMs }: WorkerEnd): void {
    if (restartInMs === undefined) {
      this.#fail(
        new SapwoodError(error.code, `Worker ${worker} failed too often and is not started again: ${error.message}`),
      );
      return;
    }
    this.restarts[worker] = (this.restarts[worker] ?? 0) + 1;
    this.#log.error({ worker, restartInMs, code: error.code }, `a worker ended and is started again: ${error.message}`);
  }
}
