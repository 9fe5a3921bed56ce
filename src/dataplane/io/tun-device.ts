// The TUN queue of one worker: reads into the engine's slots and writes what it queued, by plain system calls on
// structures in the shared memory.

import { Counter } from "../../../assembly/shared/counters.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { SapwoodError } from "../../base/errors.ts";
import { type FrameRing, RING_ENTRIES } from "../../sys/io-uring.ts";
import * as Libc from "../../sys/libc.ts";
import { Poller } from "../../sys/poll.ts";
import { KERNEL, type TunCalls } from "./calls.ts";
import { BATCH_BYTES, type FrameDevice, type WorkerArea } from "./device.ts";

/** Longest wait for room in the kernel, per queue and in pieces. */
const WAIT_MS = 2;
const WAITS_MAX = 4;
/** A ring costs a call more than a write does, and each write less: measured, they meet between 4 and 16 frames. */
const RING_MIN = 8;

export class TunDevice implements FrameDevice {
  readonly #fd: number;
  readonly #area: WorkerArea;
  readonly #calls: TunCalls;
  readonly #writable: Poller;
  #ring: FrameRing | undefined;
  #waitsLeft = 0;

  /** With a ring, many frames are written by one system call. */
  constructor(fd: number, area: WorkerArea, calls: TunCalls = KERNEL, ring?: FrameRing) {
    this.#fd = fd;
    this.#area = area;
    this.#calls = calls;
    this.#ring = ring;
    this.#writable = new Poller([fd], Libc.POLLOUT);
  }

  readBatch(most: number = WorkerLayout.BATCH_SIZE): number {
    const area = this.#area;
    let count = 0;
    let bytes = 0;
    while (count < most && bytes < BATCH_BYTES) {
      const at = area.nativeAt(WorkerLayout.TUN_SLOTS + count * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM);
      const length = this.#calls.read(this.#fd, at, WorkerLayout.FRAME_MAX);
      if (length < 0) {
        if (length === -Libc.EINTR) continue;
        if (isLost(-length)) throw lostQueue(-length);
        break; // Libc.EAGAIN: the queue is empty. Anything else passes, and poll tells when to try again.
      }
      area.setWord(WorkerLayout.TUN_LENGTHS + 4 * count, length);
      bytes += length;
      count += 1;
    }
    if (count > 0) {
      area.count(Counter.tunReadFrames, count);
      area.count(Counter.tunReadBatches, 1);
      area.countBatch(WorkerLayout.TUN_BATCHES, count);
    }
    return count;
  }

  writeQueue(): void {
    const area = this.#area;
    const count = area.word(WorkerLayout.TUN_TX_COUNT);
    if (count === 0) return;
    this.#waitsLeft = WAITS_MAX;
    let written = 0;
    for (let index = 0; index < count; ) {
      if (this.#ring !== undefined && count - index >= RING_MIN) {
        const end = Math.min(count, index + RING_ENTRIES);
        written += this.#writeByRing(this.#ring, index, end);
        index = end;
      } else {
        if (this.#isWritten(index, this.#write(index))) written += 1;
        index += 1;
      }
    }
    area.setWord(WorkerLayout.TUN_TX_COUNT, 0);
    if (written > 0) area.count(Counter.tunWrittenFrames, written);
  }

  /**
   * Entries first...end-1 of the queue by one system call; returns how many were written. What the ring does not take
   * follows by itself, in its order. Only a frame for which the kernel had no room comes behind later ones then.
   */
  #writeByRing(ring: FrameRing, first: number, end: number): number {
    const area = this.#area;
    for (let index = first; index < end; index++) {
      const at = WorkerLayout.TUN_TX + index * WorkerLayout.TUN_TX_SIZE;
      ring.put(
        area.word(at + WorkerLayout.TUN_TX_IOV),
        area.word(at + WorkerLayout.TUN_TX_IOV + 4),
        area.word(at + WorkerLayout.TUN_TX_IOV_COUNT),
      );
    }
    if (!ring.submit()) this.#ring = undefined;
    let written = 0;
    for (let index = first; index < end; index++) {
      let result = ring.results[index - first] as number;
      if (result === -Libc.EOPNOTSUPP) this.#ring = undefined; // no RWF_NOWAIT for this descriptor
      if (result === -Libc.EOPNOTSUPP || result === -Libc.ECANCELED) result = this.#write(index);
      if (this.#isWritten(index, result)) written += 1;
    }
    return written;
  }

  /** Entry `index` of the queue by a system call of its own. */
  #write(index: number): number {
    const area = this.#area;
    const at = WorkerLayout.TUN_TX + index * WorkerLayout.TUN_TX_SIZE;
    const iovecsAt = area.word(at + WorkerLayout.TUN_TX_IOV) + area.word(at + WorkerLayout.TUN_TX_IOV + 4) * 2 ** 32;
    return this.#calls.writev(this.#fd, iovecsAt, area.word(at + WorkerLayout.TUN_TX_IOV_COUNT));
  }

  /** Whether entry `index`, which ended with `result`, is written, now or after another try; counts it if not. */
  #isWritten(index: number, firstResult: number): boolean {
    let result = firstResult;
    for (;;) {
      if (result >= 0) return true;
      const isFull = result === -Libc.EAGAIN || result === -Libc.ENOBUFS;
      if (result !== -Libc.EINTR && !(isFull && this.#waitsLeft > 0)) {
        const packets = this.#area.word(
          WorkerLayout.TUN_TX + index * WorkerLayout.TUN_TX_SIZE + WorkerLayout.TUN_TX_PACKETS,
        );
        this.#area.countIngressDrops(isFull ? DropReason.queueFull : DropReason.sendFailed, packets);
        return false;
      }
      if (isFull) {
        this.#waitsLeft -= 1;
        this.#writable.wait(WAIT_MS);
      }
      result = this.#write(index);
    }
  }
}

/** Errors after which the descriptor never works again; Libc.EBADFD: the device was deleted. */
function isLost(errno: number): boolean {
  return errno === Libc.EBADFD || errno === Libc.EBADF || errno === Libc.EFAULT || errno === Libc.EINVAL;
}

function lostQueue(errno: number): SapwoodError {
  const hint = errno === Libc.EBADFD ? ": the device was deleted" : "";
  return new SapwoodError("tun-unavailable", `Reading the TUN failed with ${Libc.errnoName(errno)}${hint}.`);
}
