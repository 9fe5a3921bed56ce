// Follows the address at which the other nodes reach this one.

import type { Logger } from "../../../base/log.ts";

interface AddressWatchOptions {
  /** Finds out the address anew. */
  readonly find: () => Promise<string>;
  readonly address: string; // what that was at the start
  readonly onChange: () => void;
  readonly log: Logger;
}

/** A change is to be known within 5 s. */
const LOOK_MS = 5000;

export class AddressWatch {
  readonly #options: AddressWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #address: string;
  #isLooking = false;

  constructor(options: AddressWatchOptions) {
    this.#options = options;
    this.#address = options.address;
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** What was found last. */
  get address(): string {
    return this.#address;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { log, find, onChange } = this.#options;
    try {
      const address = await find();
      if (address === this.#address) return;
      log.warn({ before: this.#address, address }, "the node's address changed");
      this.#address = address;
      onChange();
    } catch (error) {
      log.debug({ err: error }, "the node's address cannot be found out at the moment");
    } finally {
      this.#isLooking = false;
    }
  }
}
