// Lines of text as bytes, handed on some hundred KiB at a time. A line that was begun may be begun anew.

import { ADDRESS_SIZE } from "../../net/address.ts";
import * as Bulk from "../../net/bulk-address.ts";

const FULL_BYTES = 256 * 1024;
const QUOTE = 0x22;
const ZERO = 0x30;
const DIGITS_MAX = 10;
const END_OF_LINE = 0x0a;

export class LineBuffer {
  readonly #write: (lines: Uint8Array) => void;
  #bytes = Buffer.alloc(2 * FULL_BYTES);
  #lineFrom = 0;
  #end = 0;

  constructor(write: (lines: Uint8Array) => void) {
    this.#write = write;
  }

  /** What the line had so far is gone. */
  begin(): void {
    this.#end = this.#lineFrom;
  }

  end(): void {
    this.byte(END_OF_LINE);
    this.#lineFrom = this.#end;
    if (this.#end >= FULL_BYTES) this.flush();
  }

  /** Hands on the lines that have ended. */
  flush(): void {
    if (this.#lineFrom > 0) this.#write(this.#bytes.subarray(0, this.#lineFrom));
    this.#end = this.#lineFrom = 0;
  }

  byte(byte: number): void {
    this.#need(1);
    this.#bytes[this.#end++] = byte;
  }

  ascii(text: string): void {
    this.#need(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[this.#end++] = text.charCodeAt(i);
  }

  /** A text of any characters. */
  utf8(text: string): void {
    const bytes = Buffer.from(text);
    this.#need(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** With quotes around them. */
  quoted(bytes: Uint8Array, from: number, to: number): void {
    this.#need(to - from + 2);
    this.#bytes[this.#end++] = QUOTE;
    for (let i = from; i < to; i++) this.#bytes[this.#end++] = bytes[i] ?? 0;
    this.#bytes[this.#end++] = QUOTE;
  }

  /** Canonical text of the 16 bytes, with quotes around it. */
  address(bytes: Uint8Array, at: number): void {
    this.#need(Bulk.TEXT_MAX + 2);
    this.#bytes[this.#end++] = QUOTE;
    this.#end = Bulk.writeAddress(bytes, at, this.#bytes, this.#end);
    this.#bytes[this.#end++] = QUOTE;
  }

  /** Such addresses, one after the other, with commas between them. */
  addresses(bytes: Uint8Array, count: number): void {
    for (let i = 0; i < count; i++) {
      if (i > 0) this.ascii(",");
      this.address(bytes, i * ADDRESS_SIZE);
    }
  }

  /** From 0 to 2^32 - 1. */
  whole(value: number): void {
    this.#need(DIGITS_MAX);
    let power = 1;
    while (power * 10 <= value) power *= 10;
    for (; power >= 1; power /= 10) this.#bytes[this.#end++] = ZERO + (Math.floor(value / power) % 10);
  }

  #need(count: number): void {
    if (this.#end + count <= this.#bytes.length) return;
    const larger = Buffer.alloc(2 * (this.#end + count));
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
  }
}
