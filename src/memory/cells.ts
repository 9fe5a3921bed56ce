// The stores of the table writer, one method per kind. Tests put a subclass in their place and look at the tables
// after every single store, as a worker on another core may.

import { SapwoodError } from "../base/errors.ts";
import { ADDRESS_WORDS } from "../net/packed-address.ts";
import type { SharedMemory } from "./shared-memory.ts";

export class Cells {
  readonly #shared: SharedMemory;
  readonly #view: DataView;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
    this.#view = new DataView(shared.memory.buffer);
  }

  u16(at: number, value: number): void {
    this.#view.setUint16(at, value, true);
  }

  u16NetworkOrder(at: number, value: number): void {
    this.#view.setUint16(at, value, false);
  }

  u32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  f32(at: number, value: number): void {
    this.#view.setFloat32(at, value, true);
  }

  /** A store that workers see after all stores before it. */
  atomic(at: number, value: number): void {
    Atomics.store(this.#shared.i32, at >>> 2, value);
  }

  /** The four words of an address; zeros when there is none. */
  address(at: number, words: Uint32Array | undefined): void {
    const { u32 } = this.#shared;
    for (let i = 0; i < ADDRESS_WORDS; i++) u32[(at >>> 2) + i] = words?.[i] ?? 0;
  }

  clear(at: number, sizeBytes: number): void {
    this.#shared.bytes.fill(0, at, at + sizeBytes);
  }
}

export function notAnAddress(text: string): SapwoodError {
  return new SapwoodError("tables-invalid", `expected an IPv4 or IPv6 address, found "${text}"`);
}
