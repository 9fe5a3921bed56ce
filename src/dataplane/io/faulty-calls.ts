// System calls that fail now and then, or do only a part. What a device makes of that is its own: this is below it.

import type { TunCalls, UdpCalls } from "./calls.ts";
import type { FaultDice } from "./fault-dice.ts";
import type { DeviceFaults } from "./fault-settings.ts";

export class FaultyCalls implements TunCalls, UdpCalls {
  readonly #calls: TunCalls & UdpCalls;
  readonly #faults: DeviceFaults;
  readonly #dice: FaultDice;

  constructor(calls: TunCalls & UdpCalls, faults: DeviceFaults, dice: FaultDice) {
    this.#calls = calls;
    this.#faults = faults;
    this.#dice = dice;
  }

  /** The kernel reads a frame whole or not at all. */
  read(fd: number, at: number, size: number): number {
    return this.#failure() || this.#calls.read(fd, at, size);
  }

  /** A frame that is written in part: its last iovec is left out. */
  writev(fd: number, iovecsAt: number, count: number): number {
    return this.#failure() || this.#calls.writev(fd, iovecsAt, this.#partOf(count, count - 1));
  }

  recvmmsg(fd: number, messagesAt: number, count: number): number {
    return this.#failure() || this.#calls.recvmmsg(fd, messagesAt, this.#partOf(count, this.#dice.below(count)));
  }

  sendmmsg(fd: number, messagesAt: number, count: number): number {
    return this.#failure() || this.#calls.sendmmsg(fd, messagesAt, this.#partOf(count, this.#dice.below(count)));
  }

  /** A negated errno; 0: the call is made. */
  #failure(): number {
    const { error, errnos } = this.#faults;
    if (!this.#dice.happens(error)) return 0;
    return -(errnos[this.#dice.below(errnos.length)] as number);
  }

  /** `whole`, or `part` of it, which is at least 1. */
  #partOf(whole: number, part: number): number {
    return whole > 1 && this.#dice.happens(this.#faults.short) ? Math.max(1, part) : whole;
  }
}
