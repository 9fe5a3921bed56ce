// What this process may take from the machine: setrlimit(2), and how soon the kernel ends it when memory runs out.

import { writeFileSync } from "node:fs";
import { getrlimit, setrlimit } from "./libc.ts";

// asm-generic/resource.h
const RLIMIT_CPU = 0; // seconds of processor time; SIGXCPU ends the process
const RLIMIT_DATA = 2; // bytes of memory that is private and may be written; reserved address space does not count
const RLIMIT_CORE = 4;
/** proc_pid_oom_score_adj(5): before all others. */
const OOM_FIRST = "1000";

/** Of all threads together, from the start of the process. Whether the kernel took it. */
export function limitProcessorTime(seconds: number): boolean {
  return limit(RLIMIT_CPU, BigInt(Math.ceil(seconds)));
}

/** Beyond it allocations fail. Whether the kernel took it. */
export function limitMemory(bytes: number): boolean {
  return limit(RLIMIT_DATA, BigInt(bytes));
}

/** No core is written, and the kernel ends this process before all others when memory runs out. */
export function becomeExpendable(): void {
  limit(RLIMIT_CORE, 0n);
  try {
    writeFileSync("/proc/self/oom_score_adj", OOM_FIRST);
  } catch {
    // Without /proc the kernel has to guess.
  }
}

/** Sets the soft limit, which may be as high as the hard one. */
function limit(resource: number, soft: bigint): boolean {
  const both = new BigUint64Array(2);
  const bytes = new Uint8Array(both.buffer);
  if (getrlimit(resource, bytes) < 0) return false;
  const hard = both[1] as bigint;
  both[0] = soft < hard ? soft : hard;
  return setrlimit(resource, bytes) >= 0;
}
