// Addresses of whole tables, each of which may be there once: 16 bytes at a time in one array, found by a hash with a
// key of its own, so that nobody can choose addresses that meet in one place.

import { randomFillSync } from "node:crypto";
import { addressHash } from "../../memory/hash.ts";

/** Words of addressHash()'s key. */
const KEY_WORDS = 10;
const ADDRESS_WORDS = 4;

export class AddressSet {
  readonly #hashKey = randomFillSync(new Uint32Array(KEY_WORDS));
  #slots: Uint32Array; // all zero = empty
  #used = 0;

  /** Room for `expected` addresses; for more it grows. */
  constructor(expected: number) {
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * Math.max(1, expected))) * ADDRESS_WORDS);
  }

  /** Takes the address whose four words are at `at`; false when it is there already. It is not the unspecified one. */
  add(words: Uint32Array, at: number): boolean {
    if (2 * this.#used * ADDRESS_WORDS >= this.#slots.length) this.#grow();
    const isNew = this.#put(words[at] ?? 0, words[at + 1] ?? 0, words[at + 2] ?? 0, words[at + 3] ?? 0);
    if (isNew) this.#used += 1;
    return isNew;
  }

  #put(w0: number, w1: number, w2: number, w3: number): boolean {
    const slots = this.#slots;
    const mask = slots.length / ADDRESS_WORDS - 1;
    let slot = addressHash(this.#hashKey, w0, w1, w2, w3) & mask;
    for (;;) {
      const to = slot * ADDRESS_WORDS;
      const [f0, f1, f2, f3] = [slots[to], slots[to + 1], slots[to + 2], slots[to + 3]];
      if (f0 === w0 && f1 === w1 && f2 === w2 && f3 === w3) return false;
      if (f0 === 0 && f1 === 0 && f2 === 0 && f3 === 0) {
        slots[to] = w0;
        slots[to + 1] = w1;
        slots[to + 2] = w2;
        slots[to + 3] = w3;
        return true;
      }
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(2 * before.length);
    for (let at = 0; at < before.length; at += ADDRESS_WORDS) {
      const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = before.subarray(at, at + ADDRESS_WORDS);
      if ((w0 | w1 | w2 | w3) !== 0) this.#put(w0, w1, w2, w3);
    }
  }
}
