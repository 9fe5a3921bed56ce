// What arrives at a device, with faults: some of it is lost, comes twice, late or in another order, cut or with a bit
// turned. Whatever is kept waits for its time or, if the batch is full, for the next one.

import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import type { FaultDice } from "./fault-dice.ts";
import type { DeviceFaults } from "./fault-settings.ts";
import type { Received, ReceiveSlots } from "./receive-slots.ts";

/** Something that is to arrive later. */
interface Kept {
  readonly received: Received;
  readonly dueMs: number;
  /** It comes right behind the next one, if there is one before `dueMs`. */
  readonly isOvertaken: boolean;
}

export class FaultyArrivals {
  readonly #slots: ReceiveSlots;
  readonly #faults: DeviceFaults;
  readonly #dice: FaultDice;
  readonly #nowMs: () => number;
  #kept: Kept[] = [];
  #filled = 0; // slots that something was put into

  constructor(slots: ReceiveSlots, faults: DeviceFaults, dice: FaultDice, nowMs: () => number) {
    this.#slots = slots;
    this.#faults = faults;
    this.#dice = dice;
    this.#nowMs = nowMs;
  }

  /** When the next one that is kept is due; Infinity: none is. */
  get dueMs(): number {
    return this.#kept.reduce((soonest, { dueMs }) => Math.min(soonest, dueMs), Number.POSITIVE_INFINITY);
  }

  /** `receive` fills the first slots and says how many; the same with faults. */
  receive(receive: () => number): number {
    this.#slots.renew(this.#filled);
    const count = receive();
    const nowMs = this.#nowMs();
    const arrived = this.#takeDue(({ dueMs }) => dueMs <= nowMs);
    for (let index = 0; index < count; index++) this.#pass(this.#slots.take(index), arrived, nowMs);
    for (const received of arrived.splice(WorkerLayout.BATCH_SIZE)) this.#keep(received, nowMs);
    arrived.forEach((received, index) => {
      this.#slots.put(index, received);
    });
    this.#filled = arrived.length;
    return arrived.length;
  }

  #pass(taken: Received, arrived: Received[], nowMs: number): void {
    const { drop, duplicate, reorder, delay, delayMs } = this.#faults;
    if (this.#dice.happens(drop)) return;
    const received = this.#harmed(taken);
    if (this.#dice.happens(delay)) return this.#keep(received, nowMs + delayMs);
    if (this.#dice.happens(reorder)) return this.#keep(received, nowMs + delayMs, true);
    arrived.push(received);
    if (this.#dice.happens(duplicate)) arrived.push(received);
    arrived.push(...this.#takeDue(({ isOvertaken }) => isOvertaken));
  }

  #harmed(received: Received): Received {
    const { truncate, corrupt } = this.#faults;
    const { length } = received.bytes;
    const isCut = length > 0 && this.#dice.happens(truncate);
    const bytes = isCut ? received.bytes.subarray(0, this.#dice.below(length)) : received.bytes;
    if (bytes.length > 0 && this.#dice.happens(corrupt)) {
      const at = this.#dice.below(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << this.#dice.below(8));
    }
    return { ...received, bytes };
  }

  #keep(received: Received, dueMs: number, isOvertaken = false): void {
    this.#kept.push({ received, dueMs, isOvertaken });
  }

  #takeDue(isDue: (kept: Kept) => boolean): Received[] {
    const due = this.#kept.filter(isDue);
    if (due.length > 0) this.#kept = this.#kept.filter((kept) => !isDue(kept));
    return due.map(({ received }) => received);
  }
}
