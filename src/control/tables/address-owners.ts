// Who has an address, of very many: a hash and a number for each in one array, 8 bytes at a time, instead of texts in a
// Map. What the number stands for says whether it has the address: two addresses may have one hash.

import { randomFillSync } from "node:crypto";
import { Slices } from "../../base/slices.ts";
import { addressHash } from "../../memory/hash.ts";
import { wordAt } from "../../net/packed-address.ts";

const LEAST_SLOTS = 64;
/** Words of addressHash()'s key. */
const KEY_WORDS = 10;
/** Of each slot: the hash, and the owner. */
const SLOT_WORDS = 2;

export class AddressOwners {
  readonly #has: (owner: number, packed: string) => boolean;
  readonly #hashKey = randomFillSync(new Uint32Array(KEY_WORDS));
  #slots = new Uint32Array(LEAST_SLOTS * SLOT_WORDS); // owner 0 = empty
  #used = 0;

  /** `has` tells whether an owner that was added has an address, by its bytes, and counts. */
  constructor(has: (owner: number, packed: string) => boolean) {
    this.#has = has;
  }

  /** Makes room for so many more addresses, in slices; until it has, nothing may be added or removed. */
  async reserve(count: number): Promise<void> {
    let slotCount = this.#slotCount;
    while (2 * (this.#used + count) > slotCount) slotCount *= 2;
    if (slotCount === this.#slotCount) return;
    const larger = new Uint32Array(slotCount * SLOT_WORDS);
    if (this.#used > 0) {
      await new Slices().times(this.#slotCount, (slot) => {
        if (this.#ownerAt(slot) !== 0) put(larger, this.#hashAt(slot), this.#ownerAt(slot));
      });
    }
    this.#slots = larger;
  }

  /**
   * `owner` is from 1 to 2^32 - 1, and the address is at `at` of a string of bytes. There is room for it, by reserve().
   */
  add(bytes: string, at: number, owner: number): void {
    if (2 * this.#used >= this.#slotCount) throw new RangeError("expected room that was reserved, found none");
    put(this.#slots, this.#hashOf(bytes, at), owner);
    this.#used += 1;
  }

  /** What was added before. */
  remove(bytes: string, at: number, owner: number): void {
    const hash = this.#hashOf(bytes, at);
    for (let slot = this.#homeOf(hash); this.#ownerAt(slot) !== 0; slot = this.#after(slot)) {
      if (this.#hashAt(slot) !== hash || this.#ownerAt(slot) !== owner) continue;
      this.#empty(slot);
      this.#used -= 1;
      return;
    }
  }

  /** 0 = nobody. */
  find(packed: string): number {
    const hash = this.#hashOf(packed, 0);
    for (let slot = this.#homeOf(hash); this.#ownerAt(slot) !== 0; slot = this.#after(slot)) {
      const owner = this.#ownerAt(slot);
      if (this.#hashAt(slot) === hash && this.#has(owner, packed)) return owner;
    }
    return 0;
  }

  /** What follows moves up as far as its home allows, so that no search ends too early. */
  #empty(slot: number): void {
    let free = slot;
    for (let next = this.#after(free); this.#ownerAt(next) !== 0; next = this.#after(next)) {
      const mask = this.#slotCount - 1;
      const isPastHome = ((next - this.#homeOf(this.#hashAt(next))) & mask) >= ((next - free) & mask);
      if (!isPastHome) continue;
      this.#slots.copyWithin(free * SLOT_WORDS, next * SLOT_WORDS, (next + 1) * SLOT_WORDS);
      free = next;
    }
    this.#slots[free * SLOT_WORDS + 1] = 0;
  }

  #hashOf(bytes: string, at: number): number {
    const [w0, w1] = [wordAt(bytes, at), wordAt(bytes, at + 4)];
    return addressHash(this.#hashKey, w0, w1, wordAt(bytes, at + 8), wordAt(bytes, at + 12));
  }

  get #slotCount(): number {
    return this.#slots.length / SLOT_WORDS;
  }

  #homeOf(hash: number): number {
    return hash & (this.#slotCount - 1);
  }

  #after(slot: number): number {
    return (slot + 1) & (this.#slotCount - 1);
  }

  #hashAt(slot: number): number {
    return this.#slots[slot * SLOT_WORDS] ?? 0;
  }

  #ownerAt(slot: number): number {
    return this.#slots[slot * SLOT_WORDS + 1] ?? 0;
  }
}

/** Into the first slot that is free from its home on. */
function put(slots: Uint32Array, hash: number, owner: number): void {
  const mask = slots.length / SLOT_WORDS - 1;
  let slot = hash & mask;
  while (slots[slot * SLOT_WORDS + 1] !== 0) slot = (slot + 1) & mask;
  slots[slot * SLOT_WORDS] = hash;
  slots[slot * SLOT_WORDS + 1] = owner;
}
