// The TUN queue of one worker: reads into the engine's slots and writes what it queued, by plain system calls on
// structures in the shared memory.

import { Counter } from "../../../assembly/shared/counters.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { SapwoodError } from "../../base/errors.ts";
import { EAGAIN, EBADF, EBADFD, EFAULT, EINTR, EINVAL, ENOBUFS, errnoName, POLLOUT } from "../../sys/libc.ts";
import { Poller } from "../../sys/poll.ts";
import { KERNEL, type TunCalls } from "./calls.ts";
import { BATCH_BYTES, type FrameDevice, type WorkerArea } from "./device.ts";

/** Longest wait for room in the kernel, per queue and in pieces. */
const WAIT_MS = 2;
const WAITS_MAX = 4;

export class TunDevice implements FrameDevice {
  readonly #fd: number;
  readonly #area: WorkerArea;
  readonly #calls: TunCalls;
  readonly #writable: Poller;

  constructor(fd: number, area: WorkerArea, calls: TunCalls = KERNEL) {
    this.#fd = fd;
    this.#area = area;
    this.#calls = calls;
    this.#writable = new Poller([fd], POLLOUT);
  }

  readBatch(most: number = WorkerLayout.BATCH_SIZE): number {
    const area = this.#area;
    let count = 0;
    let bytes = 0;
    while (count < most && bytes < BATCH_BYTES) {
      const at = area.nativeAt(WorkerLayout.TUN_SLOTS + count * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM);
      const length = this.#calls.read(this.#fd, at, WorkerLayout.FRAME_MAX);
      if (length < 0) {
        if (length === -EINTR) continue;
        if (isLost(-length)) throw lostQueue(-length);
        break; // EAGAIN: the queue is empty. Anything else passes, and poll tells when to try again.
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
    let written = 0;
    let waitsLeft = WAITS_MAX;
    for (let index = 0; index < count; ) {
      const at = WorkerLayout.TUN_TX + index * WorkerLayout.TUN_TX_SIZE;
      const iovecsAt = area.word(at + WorkerLayout.TUN_TX_IOV) + area.word(at + WorkerLayout.TUN_TX_IOV + 4) * 2 ** 32;
      const result = this.#calls.writev(this.#fd, iovecsAt, area.word(at + WorkerLayout.TUN_TX_IOV_COUNT));
      if (result >= 0) {
        written += 1;
      } else if (result === -EINTR) {
        continue;
      } else if (result === -EAGAIN || result === -ENOBUFS) {
        if (waitsLeft > 0) {
          waitsLeft -= 1;
          this.#writable.wait(WAIT_MS);
          continue;
        }
        area.countIngressDrops(DropReason.queueFull, area.word(at + WorkerLayout.TUN_TX_PACKETS));
      } else {
        area.countIngressDrops(DropReason.sendFailed, area.word(at + WorkerLayout.TUN_TX_PACKETS));
      }
      index += 1;
    }
    area.setWord(WorkerLayout.TUN_TX_COUNT, 0);
    if (written > 0) area.count(Counter.tunWrittenFrames, written);
  }
}

/** Errors after which the descriptor never works again; EBADFD: the device was deleted. */
function isLost(errno: number): boolean {
  return errno === EBADFD || errno === EBADF || errno === EFAULT || errno === EINVAL;
}

function lostQueue(errno: number): SapwoodError {
  const hint = errno === EBADFD ? ": the device was deleted" : "";
  return new SapwoodError("tun-unavailable", `Reading the TUN failed with ${errnoName(errno)}${hint}.`);
}
