// Waits on descriptors, and is woken by another thread through an eventfd.
// Promises: waiting allocates nothing and never lasts longer than its timeout.

import { SapwoodError } from "../base/errors.ts";
import * as Libc from "./libc.ts";

// struct pollfd: i32 fd, i16 events, i16 revents
const POLLFD_SIZE = 8;
const POLLFD_EVENTS = 4;
const POLLFD_REVENTS = 6;

/** Waits until one of a fixed set of descriptors has an event. */
export class Poller {
  readonly #view: DataView;
  readonly #at: number;
  readonly #count: number;

  constructor(fds: readonly number[], events: number = Libc.POLLIN) {
    this.#count = fds.length;
    const buffer = new ArrayBuffer(POLLFD_SIZE * this.#count); // outside the heap: never moves
    this.#view = new DataView(buffer);
    this.#at = Number(Libc.addressOf(buffer));
    fds.forEach((fd, index) => {
      this.#view.setInt32(index * POLLFD_SIZE, fd, true);
      this.#view.setInt16(index * POLLFD_SIZE + POLLFD_EVENTS, events, true);
    });
  }

  /** Returns how many descriptors have an event; 0 after `timeoutMs` or a signal. */
  wait(timeoutMs: number): number {
    const count = Libc.poll(this.#at, this.#count, timeoutMs);
    if (count >= 0) return count;
    this.#clear();
    // EAGAIN is a kernel short of memory (poll(2)); the caller's next round tries again.
    if (count === -Libc.EINTR || count === -Libc.EAGAIN) return 0;
    throw new SapwoodError("system-call", `Waiting for packets (poll) failed with ${Libc.errnoName(count)}.`);
  }

  /** The events (POLLIN, POLLERR ...) that the last wait found for descriptor `index`. */
  events(index: number): number {
    return this.#view.getInt16(index * POLLFD_SIZE + POLLFD_REVENTS, true);
  }

  /** poll() leaves revents as they were when it fails. */
  #clear(): void {
    for (let index = 0; index < this.#count; index++) {
      this.#view.setInt16(index * POLLFD_SIZE + POLLFD_REVENTS, 0, true);
    }
  }
}

/** Wakes a thread that polls `fd`. */
export class WakeEvent {
  readonly fd: number;
  readonly #one = new Uint8Array(new BigUint64Array([1n]).buffer);
  #isOpen = true;

  constructor() {
    this.fd = Libc.expectSuccess(Libc.eventfd(0, Libc.O_NONBLOCK | Libc.O_CLOEXEC), "Opening an eventfd");
  }

  wake(): void {
    if (this.#isOpen) Libc.write(this.fd, this.#one, this.#one.byteLength); // EAGAIN: it is awake already
  }

  close(): void {
    if (this.#isOpen) Libc.close(this.fd);
    this.#isOpen = false;
  }
}

/** Empties an eventfd, so that it can wake once more; for the thread that polls it and knows only its number. */
export class WakeDrain {
  readonly #fd: number;
  readonly #buffer = new ArrayBuffer(8);
  readonly #at: number;

  constructor(fd: number) {
    this.#fd = fd;
    this.#at = Number(Libc.addressOf(this.#buffer));
  }

  drain(): void {
    Libc.read(this.#fd, this.#at, this.#buffer.byteLength);
  }
}
