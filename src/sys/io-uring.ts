// A ring of writes to one descriptor (io_uring(7)): many frames by one system call.
// Where there is none - an old kernel, kernel.io_uring_disabled, a seccomp filter - openRing() says so, and who wanted
// one writes by itself.
// Promises: a write is complete when submit() returns, so that nothing in the ring points anywhere between two calls;
// writes are done in their order; nothing is allocated by a call.

import * as Libc from "./libc.ts";

/** Writes that one call takes: their entries fill one page, and the two queues are within another. */
export const RING_ENTRIES = 64;
/** Of each of the two; the largest page that Linux has. */
const PAGE_MAX = 65_536;

// linux/io_uring.h: struct io_uring_params
const PARAMS_SIZE = 120;
const PARAMS_FLAGS = 8;
const SQ_HEAD = 40;
const SQ_TAIL = 44;
const SQ_ARRAY = 64;
const SQ_USER_ADDR = 72;
const CQ_HEAD = 80;
const CQ_TAIL = 84;
const CQ_MASK = 88;
const CQ_CQES = 100;
const CQ_USER_ADDR = 112;
/** All of a call are tried, also behind one that fails at once (Linux 5.18). */
const IORING_SETUP_SUBMIT_ALL = 1 << 7;
/** The rings are in the caller's memory (Linux 6.5). */
const IORING_SETUP_NO_MMAP = 1 << 14;
const IORING_ENTER_GETEVENTS = 1;
const IORING_OP_WRITEV = 2;
// struct io_uring_sqe
const SQE_SIZE = 64;
const SQE_FD = 4;
const SQE_OFFSET = 8;
const SQE_ADDR = 16;
const SQE_LENGTH = 24;
const SQE_FLAGS = 28;
const SQE_USER_DATA = 32;
// struct io_uring_cqe
const CQE_SIZE = 16;
const CQE_RESULT = 8;
/** linux/fs.h: fails with EAGAIN instead of being done later, and out of order. */
const RWF_NOWAIT = 8;

/** What a device needs of a ring. */
export interface FrameRing {
  /** Of the writes of the last submit(): what was written, or the negated errno. */
  readonly results: Int32Array;
  /** Queues the next write, of up to RING_ENTRIES: `iovecsLow` and `iovecsHigh` are the halves of an address. */
  put(iovecsLow: number, iovecsHigh: number, iovecs: number): void;
  /**
   * Does what is queued; then `results` has how each ended. False: the kernel takes nothing more by this ring, and
   * writes that it did not take have -ECANCELED.
   */
  submit(): boolean;
}

/** A ring that is open, for a thread that is to use it. */
export interface RingHandle {
  readonly fd: number;
  readonly memory: SharedArrayBuffer;
  /** Byte offsets within `memory`. */
  readonly entriesAt: number;
  readonly sqHeadAt: number;
  readonly sqTailAt: number;
  readonly cqHeadAt: number;
  readonly cqTailAt: number;
  readonly cqesAt: number;
  readonly cqMask: number;
}

/** Open until the descriptor is closed; undefined where there is none to be had. */
export function openRing(): RingHandle | undefined {
  const memory = new SharedArrayBuffer(3 * PAGE_MAX);
  const base = Number(Libc.addressOf(memory));
  const entriesAt = Math.ceil(base / PAGE_MAX) * PAGE_MAX - base;
  const queuesAt = entriesAt + PAGE_MAX;
  const params = new DataView(new ArrayBuffer(PARAMS_SIZE));
  const word = (at: number): number => params.getUint32(at, true);
  params.setUint32(PARAMS_FLAGS, IORING_SETUP_SUBMIT_ALL | IORING_SETUP_NO_MMAP, true);
  params.setBigUint64(SQ_USER_ADDR, BigInt(base + entriesAt), true);
  params.setBigUint64(CQ_USER_ADDR, BigInt(base + queuesAt), true);
  const fd = Libc.ioUringSetup(RING_ENTRIES, new Uint8Array(params.buffer));
  if (fd < 0) return undefined;
  // The queue of entries names each by its index: always the same one.
  const array = new Uint32Array(memory, queuesAt + word(SQ_ARRAY), RING_ENTRIES);
  for (let index = 0; index < RING_ENTRIES; index++) array[index] = index;
  const [cqMask = 0] = new Uint32Array(memory, queuesAt + word(CQ_MASK), 1);
  return {
    fd,
    memory,
    entriesAt,
    sqHeadAt: queuesAt + word(SQ_HEAD),
    sqTailAt: queuesAt + word(SQ_TAIL),
    cqHeadAt: queuesAt + word(CQ_HEAD),
    cqTailAt: queuesAt + word(CQ_TAIL),
    cqesAt: queuesAt + word(CQ_CQES),
    cqMask,
  };
}

/** Writes to one descriptor by a ring that nobody else uses meanwhile. */
export class WriteRing implements FrameRing {
  readonly results = new Int32Array(RING_ENTRIES);
  readonly #handle: RingHandle;
  readonly #words: Int32Array;
  #queued = 0;
  #tail: number;

  /** What somebody before left in the ring is forgotten: he may have died in the middle of it. */
  constructor(handle: RingHandle, fd: number) {
    this.#handle = handle;
    this.#words = new Int32Array(handle.memory);
    this.#tail = this.#word(handle.sqHeadAt);
    this.#setWord(handle.sqTailAt, this.#tail);
    this.#setWord(handle.cqHeadAt, this.#word(handle.cqTailAt));
    const entries = new DataView(handle.memory, handle.entriesAt, RING_ENTRIES * SQE_SIZE);
    for (let index = 0; index < RING_ENTRIES; index++) {
      const at = index * SQE_SIZE;
      entries.setUint8(at, IORING_OP_WRITEV);
      entries.setInt32(at + SQE_FD, fd, true);
      entries.setBigInt64(at + SQE_OFFSET, -1n, true); // a device has no position
      entries.setUint32(at + SQE_FLAGS, RWF_NOWAIT, true);
    }
  }

  put(iovecsLow: number, iovecsHigh: number, iovecs: number): void {
    const at = this.#handle.entriesAt + ((this.#tail + this.#queued) & (RING_ENTRIES - 1)) * SQE_SIZE;
    this.#setWord(at + SQE_ADDR, iovecsLow);
    this.#setWord(at + SQE_ADDR + 4, iovecsHigh);
    this.#setWord(at + SQE_LENGTH, iovecs);
    this.#setWord(at + SQE_USER_DATA, this.#queued);
    this.#queued += 1;
  }

  submit(): boolean {
    const { fd, sqTailAt, cqHeadAt } = this.#handle;
    const count = this.#queued;
    this.#queued = 0;
    this.results.fill(-Libc.ECANCELED, 0, count);
    const cqStart = this.#word(cqHeadAt);
    this.#tail = (this.#tail + count) | 0;
    Atomics.store(this.#words, sqTailAt >> 2, this.#tail);
    const isWhole = this.#enter(fd, cqStart + count);
    this.#collect(cqStart);
    return isWhole;
  }

  /** Until the queue of completions ends at `cqEnd`; false: the kernel took only a part, which is complete. */
  #enter(fd: number, cqEnd: number): boolean {
    const { sqHeadAt, cqTailAt } = this.#handle;
    let isWhole = true;
    for (;;) {
      const open = (this.#tail - Atomics.load(this.#words, sqHeadAt >> 2)) | 0; // not taken yet
      const missing = (cqEnd - Atomics.load(this.#words, cqTailAt >> 2)) | 0;
      if (missing === (isWhole ? 0 : open)) return isWhole;
      const result = Libc.ioUringEnter(
        fd,
        isWhole ? open : 0,
        isWhole ? missing : missing - open,
        IORING_ENTER_GETEVENTS,
      );
      if (result < 0 && result !== -Libc.EINTR) {
        if (!isWhole) return false;
        isWhole = false;
      }
    }
  }

  #collect(from: number): void {
    const { cqHeadAt, cqTailAt, cqesAt, cqMask } = this.#handle;
    const end = Atomics.load(this.#words, cqTailAt >> 2);
    for (let next = from; next !== end; next = (next + 1) | 0) {
      const at = cqesAt + (next & cqMask) * CQE_SIZE;
      this.results[this.#word(at)] = this.#word(at + CQE_RESULT);
    }
    Atomics.store(this.#words, cqHeadAt >> 2, end);
  }

  #word(at: number): number {
    return this.#words[at >> 2] as number;
  }

  #setWord(at: number, value: number): void {
    this.#words[at >> 2] = value;
  }
}
