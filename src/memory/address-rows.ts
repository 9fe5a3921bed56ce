// Addresses with a value each, very many: what one change binds and unbinds.

import { wordAt } from "../net/packed-address.ts";
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

  valueAt(row: number): number {
    return this.at(row, VALUE);
  }

  portAt(row: number): number {
    return this.at(row, PORT);
  }
}
