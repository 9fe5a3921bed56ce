// The write side of the address, workload and sender tables: open addressing over versioned values
// (layout/address.ts). assembly/table/address.ts is the read side, at any moment, on other cores.
//
// A key lives through EMPTY -> USED (value) -> USED (value 0) -> BUSY -> EMPTY or USED with another key. Between the
// last three steps all workers leave the calls that they are in: nobody compares a key that is being rewritten.

import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import { Slices } from "../base/slices.ts";
import { ADDRESS_SIZE } from "../net/address.ts";
import * as Bulk from "../net/bulk-address.ts";
import { type Cells, notAnAddress } from "./cells.ts";
import { addressHash } from "./hash.ts";
import type { SharedMemory } from "./shared-memory.ts";
import { placeToWrite, versionWord } from "./versioned.ts";

/** One slot of this number stays empty even while old and new keys share the table. */
const EMPTY_SHARE = 32;

/** What a slot is looked up by. */
interface SlotKey {
  readonly address: string;
  readonly port?: number; // of senders, AddressLayout.ANY_PORT = any
}

export interface Binding extends SlotKey {
  readonly value: number; // not 0
}

export class AddressSlots {
  readonly #shared: SharedMemory;
  readonly #cells: Cells;
  readonly #at: number;
  readonly #slotCount: number;
  readonly #key = new Uint8Array(ADDRESS_SIZE);
  readonly #keyWords = new Uint32Array(this.#key.buffer);
  /** Slots that lost their value in the last generation. */
  #dying: number[] = [];
  /** BUSY slots of which a worker may still be comparing the key. */
  #retired: number[] = [];
  #occupied = 0;

  constructor(shared: SharedMemory, cells: Cells, at: number, slotCount: number) {
    this.#shared = shared;
    this.#cells = cells;
    this.#at = at;
    this.#slotCount = slotCount;
  }

  /** Whether enough slots stay empty with these keys to end every probe. */
  hasRoomFor(bindings: readonly Binding[]): boolean {
    const most = this.#slotCount - Math.ceil(this.#slotCount / EMPTY_SHARE);
    if (this.#occupied + bindings.length <= most) return true;
    // Many keys are there already or take the place of a reclaimed one: count those that need an empty slot.
    const claimed = new Set<number>();
    let neededCount = 0;
    for (const binding of bindings) {
      const { found, free } = this.#probe(binding, claimed);
      if (found >= 0) continue;
      claimed.add(free);
      if (this.#state(free) === AddressLayout.SLOT_EMPTY) neededCount += 1;
      if (this.#occupied + neededCount > most) return false;
    }
    return true;
  }

  /** From `generation` on the key has this value. */
  bind(binding: Binding, generation: number): void {
    const { address, value } = binding;
    const { found, free } = this.#probe(binding);
    if (found >= 0) {
      this.#set(found, value, generation);
      return;
    }
    const at = this.#slotAt(free);
    if (this.#state(free) === AddressLayout.SLOT_EMPTY) this.#occupied += 1;
    this.#cells.address(at + AddressLayout.KEY, address);
    this.#cells.u32(at + AddressLayout.VALUES, 0);
    this.#cells.u32(at + AddressLayout.VALUES + 4, value);
    this.#cells.atomic(at + AddressLayout.VERSION, versionWord(generation, 1));
    this.#cells.atomic(at + AddressLayout.STATE, usedState(binding));
  }

  /** From `generation` on the key has no value. */
  unbind(key: SlotKey, generation: number): void {
    const { found } = this.#probe(key);
    if (found < 0) return;
    this.#set(found, 0, generation);
    this.#dying.push(found);
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

  /** The slot that holds the key, or -1; and the first slot that may take it and is not claimed. */
  #probe(key: SlotKey, claimed?: ReadonlySet<number>): { found: number; free: number } {
    const { address } = key;
    const used = usedState(key);
    if (!Bulk.readAddress(address, this.#key, 0)) throw notAnAddress(address);
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = this.#keyWords;
    const { u32 } = this.#shared;
    let free = -1;
    let slot = addressHash(this.#shared.addressHashKey, w0, w1, w2, w3) & (this.#slotCount - 1);
    for (;;) {
      const state = this.#state(slot);
      if (!isUsed(state)) {
        const isClaimed = claimed?.has(slot) === true;
        if (free < 0 && !isClaimed) free = slot;
        if (state === AddressLayout.SLOT_EMPTY && !isClaimed) return { found: -1, free };
      } else if (state === used) {
        const word = (this.#slotAt(slot) + AddressLayout.KEY) >>> 2;
        if (u32[word] === w0 && u32[word + 1] === w1 && u32[word + 2] === w2 && u32[word + 3] === w3) {
          return { found: slot, free: slot };
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

/** Ports in the tables are in network order, as in a sockaddr. */
function usedState({ port = 0 }: SlotKey): number {
  const swapped = ((port & 0xff) << 8) | (port >>> 8);
  return (AddressLayout.SLOT_USED | (swapped << AddressLayout.PORT_SHIFT)) >>> 0;
}

function isUsed(state: number): boolean {
  return (state & ((1 << AddressLayout.PORT_SHIFT) - 1)) === AddressLayout.SLOT_USED;
}
