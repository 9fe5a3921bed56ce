// Follows the addresses that the node itself has, so that the engine knows its kernel's ICMP errors from those of
// others.

import { writeOwnAddresses } from "../../memory/own-addresses.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import { readOwnAddresses } from "../../sys/interface.ts";
import type { KeptState } from "../../sys/interface-state.ts";
import type { Kept } from "./network-watch.ts";

const UNCHANGED: KeptState = { isUp: true, routes: [], repaired: [], problems: [], hasActed: false };

export class OwnAddresses implements Kept {
  readonly indices: readonly number[] = [];
  readonly #shared: SharedMemory;
  #written: readonly string[] = [];

  private constructor(shared: SharedMemory) {
    this.#shared = shared;
  }

  static async follow(shared: SharedMemory): Promise<OwnAddresses> {
    const own = new OwnAddresses(shared);
    await own.check();
    return own;
  }

  async check(): Promise<KeptState> {
    const addresses = await readOwnAddresses();
    if (addresses.join() === this.#written.join()) return UNCHANGED;
    writeOwnAddresses(this.#shared, addresses);
    this.#written = addresses;
    return UNCHANGED;
  }
}
