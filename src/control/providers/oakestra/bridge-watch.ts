// Sees that somebody removed the bridge of the containers, and has it made anew: it is the daemon's own, and nobody else
// would.

import { CommonInterval } from "../../../base/common-interval.ts";
import { reasonOf } from "../../../base/errors.ts";
import type { Alarms } from "../../../model/alarms.ts";
import { BRIDGE } from "./bridge.ts";

/** A look costs a few microseconds. */
const LOOK_MS = 1000;

interface BridgeWatchOptions {
  /** Whether it is missing although containers are to hang on it. */
  readonly isMissing: () => boolean;
  readonly restore: () => Promise<void>;
  readonly alarms: Alarms;
}

export class BridgeWatch {
  readonly #options: BridgeWatchOptions;
  readonly #interval: CommonInterval;
  #isRestoring = false;
  #isTold = false; // that it cannot be made

  constructor(options: BridgeWatchOptions) {
    this.#options = options;
    this.#interval = new CommonInterval(LOOK_MS, () => void this.look());
  }

  close(): void {
    this.#interval.close();
  }

  async look(): Promise<void> {
    const { isMissing, restore, alarms } = this.#options;
    if (this.#isRestoring || !isMissing()) return;
    this.#isRestoring = true;
    try {
      await restore();
      this.#isTold = false;
      const message = `Somebody removed the bridge ${BRIDGE}, and it was put back with all containers on it.`;
      alarms.tell({ kind: "network-repaired", subject: BRIDGE, message, advice: "Find out who removed it." });
    } catch (error) {
      if (!this.#isTold) {
        const message = `Somebody removed the bridge ${BRIDGE}, and it cannot be put back: ${reasonOf(error)}`;
        const advice = "It is tried again each second; until then the containers of this node have no network.";
        alarms.tell({ kind: "network-problem", subject: BRIDGE, message, advice });
      }
      this.#isTold = true;
    } finally {
      this.#isRestoring = false;
    }
  }
}
