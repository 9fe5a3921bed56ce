// Whether somebody keeps the machine's clock right.

import { adjtimex } from "./libc.ts";

/** sizeof(struct timex) on 64-bit machines, and where its status is (sys/timex.h). */
const TIMEX_SIZE = 208;
const STATUS_AT = 40;
const STA_UNSYNC = 0x40;

/** Undefined when the kernel does not tell. */
export function isClockSynchronised(): boolean | undefined {
  const timex = Buffer.alloc(TIMEX_SIZE);
  if (adjtimex(timex) < 0) return undefined;
  return (timex.readInt32LE(STATUS_AT) & STA_UNSYNC) === 0;
}
