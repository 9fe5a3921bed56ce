// Plays the kernel for the devices of one worker, around a real engine: packets arrive when the loop sleeps, as the
// script says, and every call is counted. The memory's native base is given as 0, so that native addresses are offsets.

import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import type { TunCalls, UdpCalls } from "../../src/dataplane/io/calls.ts";
import { READY_TUN, READY_UDP, type Waiter, WorkerArea } from "../../src/dataplane/io/device.ts";
import { type FrameRing, RING_ENTRIES } from "../../src/sys/io-uring.ts";
import { EAGAIN } from "../../src/sys/libc.ts";
import type { EngineFixture } from "./engine-fixture.ts";
import type { Message } from "./reference/translator.ts";

/** What comes while the loop sleeps, at once. */
export interface Arrival {
  readonly frames?: readonly Uint8Array[];
  readonly messages?: readonly Message[];
}

/** How often the loop did what. */
export interface Calls {
  read: number;
  /** Those reads, of the above, that found nothing. */
  readEmpty: number;
  writev: number;
  /** Submissions of a ring, each of up to RING_ENTRIES writes. */
  enter: number;
  recvmmsg: number;
  sendmmsg: number;
  /** Sleeps included. */
  poll: number;
  /** Sleeps that an arrival ended. */
  wakeUps: number;
}

export const NONE: Readonly<Calls> = {
  read: 0,
  readEmpty: 0,
  writev: 0,
  enter: 0,
  recvmmsg: 0,
  sendmmsg: 0,
  poll: 0,
  wakeUps: 0,
};

/** How long a sleep takes in which something arrives, and a look or a sleep that finds something at once. */
const SLEEP_US = 50;
const LOOK_US = 1;

export class ScriptedKernel implements TunCalls, UdpCalls, Waiter {
  readonly area: WorkerArea;
  readonly calls: Calls = { ...NONE };
  readonly #fixture: EngineFixture;
  readonly #script: Arrival[];
  readonly #frames: Uint8Array[] = [];
  readonly #messages: Message[] = [];

  constructor(fixture: EngineFixture, script: readonly Arrival[]) {
    this.#fixture = fixture;
    this.#script = [...script];
    this.area = new WorkerArea(fixture.shared.memory, 0, 0n);
  }

  /** Whether all that was to arrive has been read. */
  get isOver(): boolean {
    return this.#script.length === 0 && this.#frames.length === 0 && this.#messages.length === 0;
  }

  wait(timeoutMs: number): number {
    this.calls.poll += 1;
    if (this.#ready() === 0 && timeoutMs > 0) {
      this.calls.wakeUps += 1;
      this.#fixture.nowUs += SLEEP_US;
      const { frames = [], messages = [] } = this.#script.shift() ?? {};
      this.#frames.push(...frames);
      this.#messages.push(...messages);
    } else this.#fixture.nowUs += LOOK_US;
    return this.#ready();
  }

  read(_fd: number, at: number, size: number): number {
    this.calls.read += 1;
    const frame = this.#frames.shift();
    if (frame === undefined) {
      this.calls.readEmpty += 1;
      return -EAGAIN;
    }
    const length = Math.min(size, frame.length);
    this.#fixture.shared.bytes.set(frame.subarray(0, length), at);
    return length;
  }

  writev(): number {
    this.calls.writev += 1;
    return 1;
  }

  /** A ring that takes everything. */
  ring(): FrameRing {
    const results = new Int32Array(RING_ENTRIES);
    let queued = 0;
    return {
      results,
      put: () => {
        queued += 1;
      },
      submit: () => {
        this.calls.enter += 1;
        results.fill(1, 0, queued);
        queued = 0;
        return true;
      },
    };
  }

  recvmmsg(_fd: number, messagesAt: number, count: number): number {
    this.calls.recvmmsg += 1;
    const first = (messagesAt - this.area.nativeAt(WorkerLayout.UDP_RX)) / KernelLayout.MMSGHDR_SIZE;
    const messages = this.#messages.splice(0, count);
    messages.forEach((message, index) => {
      this.#fixture.io.putMessage(first + index, message);
    });
    return messages.length > 0 ? messages.length : -EAGAIN;
  }

  sendmmsg(_fd: number, _messagesAt: number, count: number): number {
    this.calls.sendmmsg += 1;
    return count;
  }

  #ready(): number {
    return (this.#frames.length > 0 ? READY_TUN : 0) | (this.#messages.length > 0 ? READY_UDP : 0);
  }
}
