// How much of the machine's processors nobody uses.

import { readFileSync } from "node:fs";

/**
 * Microseconds in which processors had nothing to do since the machine started, summed over all (proc_uptime(5)), to
 * 10 ms; NaN where the kernel does not tell.
 */
export function idleProcessorUs(): number {
  try {
    return Number(readFileSync("/proc/uptime", "latin1").split(" ")[1]) * 1e6;
  } catch {
    return Number.NaN;
  }
}
