// How much processor time a thread of this process has had: what a thread did not get on a busy machine does not count.

import { clockGettime, gettid } from "./libc.ts";

/** Clock ids of threads (linux/posix-timers.h): the thread in the upper bits, then per thread, by the scheduler. */
const CPUCLOCK_PERTHREAD = 4;
const CPUCLOCK_SCHED = 2;
// time.h
const CLOCK_PROCESS_CPUTIME_ID = 2;
const CLOCK_THREAD_CPUTIME_ID = 3;

/** The kernel's number of the calling thread. */
export function threadId(): number {
  return gettid();
}

/** Of a thread of this process, in milliseconds; undefined when there is none of that number. */
export function threadCpuMs(thread: number): number | undefined {
  return readMs((~thread << 3) | CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED);
}

/** Of the calling thread, in milliseconds. */
export function ownCpuMs(): number {
  return readMs(CLOCK_THREAD_CPUTIME_ID) ?? 0;
}

/** Of all threads of this process together, in milliseconds. */
export function processCpuMs(): number {
  return readMs(CLOCK_PROCESS_CPUTIME_ID) ?? 0;
}

function readMs(clock: number): number | undefined {
  if (clockGettime(clock, TIME_BYTES) < 0) return undefined;
  return Number(TIME[0]) * 1000 + Number(TIME[1]) / 1e6;
}

/** A struct timespec. Each thread has its own copy of this file's variables. */
const TIME = new BigInt64Array(2);
const TIME_BYTES = new Uint8Array(TIME.buffer);
