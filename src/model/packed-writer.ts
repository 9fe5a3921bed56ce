// Writes the bytes of packed services (packed-service.ts), numbers little-endian.

import { ADDRESS_SIZE } from "../net/address.ts";

const LEAST_BYTES = 4096;
const U16_MAX = 0xffff;

export class PackedWriter {
  bytes = Buffer.alloc(LEAST_BYTES);
  end = 0;

  u8(value: number): void {
    this.need(1);
    this.bytes[this.end++] = value;
  }

  u16(value: number): void {
    this.need(2);
    this.putU16(this.end, value);
    this.end += 2;
  }

  u32(value: number): void {
    this.need(4);
    this.putU32(this.end, value);
    this.end += 4;
  }

  /** In the place of one that was written before. */
  putU16(at: number, value: number): void {
    this.bytes[at] = value;
    this.bytes[at + 1] = value >>> 8;
  }

  /** Likewise. */
  putU32(at: number, value: number): void {
    this.bytes[at] = value;
    this.bytes[at + 1] = value >>> 8;
    this.bytes[at + 2] = value >>> 16;
    this.bytes[at + 3] = value >>> 24;
  }

  /** The 16 bytes of an address. */
  address(from: Uint8Array, at: number): void {
    this.need(ADDRESS_SIZE);
    for (let i = 0; i < ADDRESS_SIZE; i++) this.bytes[this.end + i] = from[at + i] ?? 0;
    this.end += ADDRESS_SIZE;
  }

  /** A part of a text in UTF-8. */
  part(from: Uint8Array, start: number, end: number): void {
    this.need(end - start);
    for (let i = start; i < end; i++) this.bytes[this.end++] = from[i] ?? 0;
  }

  /** In UTF-8. */
  text(text: string): void {
    this.need(3 * text.length);
    this.end += this.bytes.write(text, this.end, "utf8");
  }

  /** The same after its length; false when it is too long for that, or has half a character, which UTF-8 cannot say. */
  sizedText(text: string): boolean {
    const lengthAt = this.end;
    this.u16(0);
    const from = this.end;
    this.text(text);
    const length = this.end - from;
    this.putU16(lengthAt, length);
    return length <= U16_MAX && (length === text.length || this.bytes.toString("utf8", from, this.end) === text);
  }

  /** A character for each byte. */
  packed(packed: string): void {
    this.need(packed.length);
    this.end += this.bytes.write(packed, this.end, "latin1");
  }

  protected need(count: number): void {
    if (this.end + count <= this.bytes.length) return;
    const larger = Buffer.alloc(2 * (this.end + count));
    larger.set(this.bytes.subarray(0, this.end));
    this.bytes = larger;
  }
}
