// Addresses with a value each, very many: what one change binds and unbinds.

import type { Endpoint } from "../model/tables.ts";
import { ADDRESS_SIZE } from "../net/address.ts";
import { packAddress, wordAt } from "../net/packed-address.ts";
import { notAnAddress } from "./cells.ts";
import { Rows } from "./rows.ts";

const VALUE = 4;
const PORT = 5;

/** The four words of an address, its value, and its port where it has one. */
export class AddressRows extends Rows {
  constructor() {
    super(PORT + 1);
  }

  /** The address is at `at` of a string of bytes. */
  add(bytes: string, at: number, value = 0, port = 0): void {
    this.push(wordAt(bytes, at), wordAt(bytes, at + 4), wordAt(bytes, at + 8), wordAt(bytes, at + 12), value, port);
  }

  /** Addresses one after the other. */
  addAll(bytes: string, at: number, count: number, value = 0): void {
    for (let i = 0; i < count; i++) this.add(bytes, at + i * ADDRESS_SIZE, value);
  }

  addEndpoints(endpoints: readonly Endpoint[], value = 0): void {
    for (const { address, port } of endpoints) {
      const packed = packAddress(address);
      if (packed === undefined) throw notAnAddress(address);
      this.add(packed, 0, value, port);
    }
  }

  valueAt(row: number): number {
    return this.at(row, VALUE);
  }

  portAt(row: number): number {
    return this.at(row, PORT);
  }
}
