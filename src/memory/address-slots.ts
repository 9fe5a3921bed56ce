// The write side of the address, workload and sender tables: open addressing over versioned values
// (layout/address.ts). assembly/table/address.ts is the read side, at any moment, on other cores.
//
// A key lives through EMPTY -> USED (value) -> USED (value 0) -> BUSY -> EMPTY or USED with another key. Between the
// last three steps all workers leave the calls that they are in: nobody compares a key that is being rewritten.

import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import { Slices } from "../base/slices.ts";
import { ADDRESS_WORDS } from "../net/packed-address.ts";
import type { AddressRows } from "./address-rows.ts";
import type { Cells } from "./cells.ts";
import { addressHash } from "./hash.ts";
import type { SharedMemory } from "./shared-memory.ts";
import { placeToWrite, versionWord } from "./versioned.ts";

/** One slot of this number stays empty even while old and new keys share the table. */
const EMPTY_SHARE = 32;

export class AddressSlots {
  readonly #shared: SharedMemory;
  readonly #cells: Cells;
  readonly #at: number;
  readonly #slotCount: number;
  readonly #key = new Uint32Array(ADDRESS_WORDS);
  /** Slots that lost their value in the last generation. */
  #dying: number[] = [];
  /** BUSY slots of which a worker may still be comparing the key. */
  #retired: number[] = [];
  #occupied = 0;
  /** What #probe() was asked for is there. */
  #isFound = false;

  constructor(shared: SharedMemory, cells: Cells, at: number, slotCount: number) {
    this.#shared = shared;
    this.#cells = cells;
    this.#at = at;
    this.#slotCount = slotCount;
  }

  /** Whether enough slots stay empty with these keys to end every probe. */
  hasRoomFor(bindings: AddressRows): boolean {
    const most = this.#slotCount - Math.ceil(this.#slotCount / EMPTY_SHARE);
    if (this.#occupied + bindings.length <= most) return true;
    // Many keys are there already or take the place of a reclaimed one: count those that need an empty slot.
    const claimed = new Set<number>();
    let neededCount = 0;
    for (let row = 0; row < bindings.length; row++) {
      const free = this.#probe(bindings, row, claimed);
      if (this.#isFound) continue;
      claimed.add(free);
      if (this.#state(free) === AddressLayout.SLOT_EMPTY) neededCount += 1;
      if (this.#occupied + neededCount > most) return false;
    }
    return true;
  }

  /** From `generation` on the key of a row has its value, which is not 0. */
  bind(bindings: AddressRows, row: number, generation: number): void {
    const value = bindings.valueAt(row);
    const slot = this.#probe(bindings, row);
    if (this.#isFound) {
      this.#set(slot, value, generation);
      return;
    }
    const at = this.#slotAt(slot);
    if (this.#state(slot) === AddressLayout.SLOT_EMPTY) this.#occupied += 1;
    this.#cells.address(at + AddressLayout.KEY, this.#key);
    this.#cells.u32(at + AddressLayout.VALUES, 0);
    this.#cells.u32(at + AddressLayout.VALUES + 4, value);
    this.#cells.atomic(at + AddressLayout.VERSION, versionWord(generation, 1));
    this.#cells.atomic(at + AddressLayout.STATE, usedState(bindings.portAt(row)));
  }

  /** From `generation` on the key of a row has no value. */
  unbind(keys: AddressRows, row: number, generation: number): void {
    const slot = this.#probe(keys, row);
    if (!this.#isFound) return;
    this.#set(slot, 0, generation);
    this.#dying.push(slot);
  }

  /** No worker is left in an older generation: takes the dead keys out. */
  async retire(): Promise<void> {
    await new Slices().each(this.#dying, (slot) => {
      // Another binding of the same generation may have revived it.
      if (this.#newestValue(slot) !== 0 || !isUsed(this.#state(slot))) return;
      this.#cells.atomic(this.#slotAt(slot) + AddressLayout.STATE, AddressLayout.SLOT_BUSY);
      this.#retired.push(slot);
    });
    this.#dying = [];
  }

  /** No worker compares a retired key any more: ends of probe chains become empty, other slots await another key. */
  async reclaim(): Promise<void> {
    await new Slices().each(this.#retired, (retired) => {
      let slot = retired;
      while (
        this.#state(slot) === AddressLayout.SLOT_BUSY &&
        this.#state(this.#next(slot)) === AddressLayout.SLOT_EMPTY
      ) {
        this.#cells.atomic(this.#slotAt(slot) + AddressLayout.STATE, AddressLayout.SLOT_EMPTY);
        this.#occupied -= 1;
        slot = (slot + this.#slotCount - 1) % this.#slotCount;
      }
    });
    this.#retired = [];
  }

  #set(slot: number, value: number, generation: number): void {
    const at = this.#slotAt(slot);
    const place = placeToWrite(this.#u32(at + AddressLayout.VERSION), generation);
    this.#cells.u32(at + AddressLayout.VALUES + 4 * place, value);
    this.#cells.atomic(at + AddressLayout.VERSION, versionWord(generation, place));
  }

  /**
   * The slot that holds the key of a row, or the first one that may take it and is not claimed. Says in #isFound which
   * it is, and leaves the key in #key.
   */
  #probe(keys: AddressRows, row: number, claimed?: ReadonlySet<number>): number {
    for (let i = 0; i < ADDRESS_WORDS; i++) this.#key[i] = keys.at(row, i);
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = this.#key;
    const used = usedState(keys.portAt(row));
    const { u32 } = this.#shared;
    let free = -1;
    let slot = addressHash(this.#shared.addressHashKey, w0, w1, w2, w3) & (this.#slotCount - 1);
    this.#isFound = false;
    for (;;) {
      const state = this.#state(slot);
      if (!isUsed(state)) {
        const isClaimed = claimed?.has(slot) === true;
        if (free < 0 && !isClaimed) free = slot;
        if (state === AddressLayout.SLOT_EMPTY && !isClaimed) return free;
      } else if (state === used) {
        const word = (this.#slotAt(slot) + AddressLayout.KEY) >>> 2;
        if (u32[word] === w0 && u32[word + 1] === w1 && u32[word + 2] === w2 && u32[word + 3] === w3) {
          this.#isFound = true;
          return slot;
        }
      }
      slot = this.#next(slot);
    }
  }

  #newestValue(slot: number): number {
    const at = this.#slotAt(slot);
    return this.#u32(at + AddressLayout.VALUES + 4 * (this.#u32(at + AddressLayout.VERSION) & 1));
  }

  #state(slot: number): number {
    return this.#u32(this.#slotAt(slot) + AddressLayout.STATE);
  }

  #next(slot: number): number {
    return (slot + 1) & (this.#slotCount - 1);
  }

  #slotAt(slot: number): number {
    return this.#at + slot * AddressLayout.SLOT_SIZE;
  }

  #u32(at: number): number {
    return this.#shared.u32[at >>> 2] ?? 0;
  }
}

/** Ports in the tables are in network order, as in a sockaddr; only senders have one. */
function usedState(port: number): number {
  const swapped = ((port & 0xff) << 8) | (port >>> 8);
  return (AddressLayout.SLOT_USED | (swapped << AddressLayout.PORT_SHIFT)) >>> 0;
}

function isUsed(state: number): boolean {
  return (state & ((1 << AddressLayout.PORT_SHIFT) - 1)) === AddressLayout.SLOT_USED;
}
