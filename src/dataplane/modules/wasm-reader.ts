// Reads the binary format of WebAssembly (core specification, chapter 5) as far as it is needed to say what a module
// may come to cost: a cursor over its bytes, and the numbers, types and limits that all sections are made of.
// Promises: it reads no byte twice and none beyond the end, whatever the bytes are; what it cannot read is Malformed.

/** The bytes are no WebAssembly, or use a part of it that nobody allowed. The message is what was found. */
export class Malformed extends Error {}

const FUNCREF = 0x70;
/** By their byte. Others belong to proposals, or refer to what the host would have to keep. */
const TYPES: ReadonlyMap<number, string> = new Map([
  [0x7f, "i32"],
  [0x7e, "i64"],
  [0x7d, "f32"],
  [0x7c, "f64"],
  [0x7b, "v128"],
  [FUNCREF, "funcref"],
]);

/** Flags of limits (section 5.3.7; the others belong to proposals). */
const HAS_MAXIMUM = 1;
const IS_SHARED = 2;

export interface Limits {
  readonly initial: number;
  readonly maximum: number | undefined;
  readonly isShared: boolean;
}

export class Cursor {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get isAtEnd(): boolean {
    return this.at >= this.end;
  }

  byte(): number {
    if (this.at >= this.end) throw new Malformed(`an end at byte ${this.at} in the middle of something`);
    return this.bytes[this.at++] as number;
  }

  skip(count: number): void {
    if (count > this.end - this.at) throw new Malformed(`a length of ${count} at byte ${this.at}, beyond the end`);
    this.at += count;
  }

  /** An unsigned LEB128 number of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 28; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if ((byte & 0x80) !== 0) continue;
      if (value < 2 ** 32) return value;
      break;
    }
    throw new Malformed(`a number of more than 32 bits before byte ${this.at}`);
  }

  /** Passes over a signed or unsigned LEB128 number of at most 64 bits. */
  skipNumber(): void {
    for (let count = 0; count < 10; count++) if ((this.byte() & 0x80) === 0) return;
    throw new Malformed(`a number of more than 64 bits before byte ${this.at}`);
  }

  name(): string {
    const length = this.u32();
    const from = this.at;
    this.skip(length);
    return new TextDecoder().decode(this.bytes.subarray(from, this.at));
  }

  /** The part of `length` bytes that begins here; this cursor passes over it. */
  part(length: number): Cursor {
    const from = this.at;
    this.skip(length);
    return new Cursor(this.bytes, from, this.at);
  }

  /** Of a value: a number or a reference to a function. */
  type(): string {
    const byte = this.byte();
    const type = TYPES.get(byte);
    if (type === undefined) throw new Malformed(`a value of a type that is not allowed (0x${byte.toString(16)})`);
    return type;
  }

  /** Only functions may be referred to. */
  referenceType(): void {
    const byte = this.byte();
    if (byte !== FUNCREF) throw new Malformed(`references to something other than functions (0x${byte.toString(16)})`);
  }

  limits(): Limits {
    const flags = this.byte();
    if ((flags & ~(HAS_MAXIMUM | IS_SHARED)) !== 0) {
      throw new Malformed(`a memory or table of a kind that is not allowed (flags ${flags})`);
    }
    const initial = this.u32();
    const maximum = (flags & HAS_MAXIMUM) === 0 ? undefined : this.u32();
    return { initial, maximum, isShared: (flags & IS_SHARED) !== 0 };
  }
}
