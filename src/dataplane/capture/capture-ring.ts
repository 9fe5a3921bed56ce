// Captured packets on their way from one worker to control: a bounded ring in shared memory with one writer and one
// reader. Promises: neither waits for the other; what finds no room is counted, and the writer goes on.

import * as CaptureRecord from "./capture-record.ts";

// Words in front of the records
const HEAD = 0; // bytes written so far, modulo 2^32
const TAIL = 1; // bytes read so far
const LOST = 2; // packets that found no room
const WORDS = 4;
const FRONT = 4 * WORDS;

/** A power of two: more than the largest batch that a worker handles between two looks of the reader. */
const RING_SIZE = 2 ** 22;

export function createRing(size = RING_SIZE): SharedArrayBuffer {
  return new SharedArrayBuffer(FRONT + size);
}

abstract class RingEnd {
  protected readonly words: Int32Array;
  protected readonly view: DataView;
  protected readonly bytes: Uint8Array;
  protected readonly size: number;

  constructor(ring: SharedArrayBuffer) {
    this.words = new Int32Array(ring, 0, WORDS);
    this.view = new DataView(ring, FRONT);
    this.bytes = new Uint8Array(ring, FRONT);
    this.size = ring.byteLength - FRONT;
  }

  protected load(word: number): number {
    return Atomics.load(this.words, word) >>> 0;
  }
}

export class RingWriter extends RingEnd {
  #head = this.load(HEAD);

  /** Where a record with so many bytes of a packet may be written, until commit(); -1: there is no room, which is counted. */
  reserve(captured: number): number {
    const size = recordSize(captured);
    const free = this.size - ((this.#head - this.load(TAIL)) >>> 0);
    const at = this.#head & (this.size - 1);
    const left = this.size - at;
    if (size <= left ? size > free : left + size > free) {
      this.lose(1);
      return -1;
    }
    if (size <= left) return at;
    this.view.setUint32(at + CaptureRecord.SIZE_AT, CaptureRecord.WRAP, true);
    this.#head = (this.#head + left) >>> 0;
    return 0;
  }

  get record(): DataView {
    return this.view;
  }

  get content(): Uint8Array {
    return this.bytes;
  }

  /** Shows the reader the record that was reserved last. */
  commit(at: number, captured: number): void {
    const size = recordSize(captured);
    this.view.setUint32(at + CaptureRecord.SIZE_AT, size, true);
    this.#head = (this.#head + size) >>> 0;
    Atomics.store(this.words, HEAD, this.#head | 0);
  }

  lose(packets: number): void {
    Atomics.add(this.words, LOST, packets);
  }
}

export class RingReader extends RingEnd {
  /**
   * Hands over at most `most` of the records that are there, as views that are overwritten when this returns. Tells
   * whether more are there.
   */
  drain(most: number, take: (record: DataView, packet: Uint8Array) => void): boolean {
    const head = this.load(HEAD);
    let tail = this.load(TAIL);
    for (let left = most; tail !== head; ) {
      if (left === 0) return true;
      const at = tail & (this.size - 1);
      const size = this.view.getUint32(at + CaptureRecord.SIZE_AT, true);
      if (size === CaptureRecord.WRAP) {
        tail = (tail + this.size - at) >>> 0;
      } else {
        const { buffer, byteOffset } = this.bytes;
        const record = new DataView(buffer, byteOffset + at, CaptureRecord.HEADER_SIZE);
        take(record, this.bytes.subarray(at + CaptureRecord.HEADER_SIZE, at + size));
        tail = (tail + size) >>> 0;
        left -= 1;
      }
      Atomics.store(this.words, TAIL, tail | 0);
    }
    return false;
  }

  /** Packets that found no room so far. */
  get lost(): number {
    return this.load(LOST);
  }
}

function recordSize(captured: number): number {
  return (CaptureRecord.HEADER_SIZE + captured + 7) & ~7;
}
