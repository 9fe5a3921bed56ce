// What the modules of every worker do, in memory that all threads see and that outlives a worker: which call is in
// progress, for the watch over calls that do not return, and how often what happened in policies.
// One writer per part: the worker. Control clears the call of a worker that died in it.

import { POLICY_SLOT_MAX } from "../../../assembly/shared/policies.ts";

/** Words of a worker's call. */
export const CALL_SEQUENCE = 0; // odd inside a call of a policy module
export const CALL_SLOT = 1; // of that policy
export const CALL_ENGINE = 2; // odd inside a call of the engine
export const CALL_THREAD = 3; // the kernel's number of the worker's thread, 0 = not known
const CALL_BYTES = 64; // a cache line of its own

/** Values of the word that says whether somebody looks at the calls of policies all the time. */
export const WATCH_LOOKS = 0;
export const WATCH_SLEEPS = 1; // a worker that enters a call wakes the watch
const WATCH_BYTES = 64;

/** What is counted per worker and slot, since its module was put there. */
export enum PolicyCount {
  choices, // all calls; the others say what went wrong
  refreshes, // times that candidates were copied
  restarts,
  none, // answers of CHOICE_NONE ...
  declined, // ... although a candidate takes new flows
  outOfRange, // answers that are no index of a candidate
  traps,
  refusals, // reserve or update did not take the candidates
  unprepared, // calls that were not made because the last refresh failed
  timedChoices, // choices of which the time was taken ...
  timedMs, // ... and how long they took together
  count,
}

/** Upper bounds of the classes in which the timed choices are counted; the last class has none. */
export const CHOICE_BOUNDS_US = [1, 2, 5, 10, 20, 50, 100, 1000, 10_000] as const;
const CHOICE_CLASSES = CHOICE_BOUNDS_US.length + 1;

const COUNTS_BYTES = PolicyCount.count * Float64Array.BYTES_PER_ELEMENT;
const SLOT_BYTES = COUNTS_BYTES + CHOICE_CLASSES * Float64Array.BYTES_PER_ELEMENT;
const WORKER_BYTES = CALL_BYTES + POLICY_SLOT_MAX * SLOT_BYTES;

export class PolicyBoard {
  readonly buffer: SharedArrayBuffer;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
  }

  static create(workers: number): PolicyBoard {
    return new PolicyBoard(new SharedArrayBuffer(workers * WORKER_BYTES + WATCH_BYTES));
  }

  get workers(): number {
    return (this.buffer.byteLength - WATCH_BYTES) / WORKER_BYTES;
  }

  call(worker: number): Int32Array {
    return new Int32Array(this.buffer, worker * WORKER_BYTES, CALL_BYTES >> 2);
  }

  /** One word, for all workers. */
  get watch(): Int32Array {
    return new Int32Array(this.buffer, this.buffer.byteLength - WATCH_BYTES, 1);
  }

  /** By PolicyCount. */
  counts(worker: number, slot: number): Float64Array {
    return new Float64Array(this.buffer, slotAt(worker, slot), PolicyCount.count);
  }

  /** Timed choices by their class. */
  times(worker: number, slot: number): Float64Array {
    return new Float64Array(this.buffer, slotAt(worker, slot) + COUNTS_BYTES, CHOICE_CLASSES);
  }
}

/** The class of a choice that took so long. */
export function choiceClass(us: number): number {
  const found = CHOICE_BOUNDS_US.findIndex((bound) => us <= bound);
  return found < 0 ? CHOICE_BOUNDS_US.length : found;
}

function slotAt(worker: number, slot: number): number {
  return worker * WORKER_BYTES + CALL_BYTES + slot * SLOT_BYTES;
}
