// How long the processors of the machine were busy, whoever kept them so: softirqs and kernel threads carry much of a
// path's work, and belong to no process. Valid for a path as long as the machine does nothing else.
import { readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100; // USER_HZ, fixed for user space on every architecture that Node has

/** Seconds since the machine started, all processors together. */
export function busySeconds(): number {
  return parseBusySeconds(readFileSync("/proc/stat", "utf8"));
}

/** Reads the first line of /proc/stat (proc(5)); guest time is part of user time already. */
export function parseBusySeconds(text: string): number {
  const [user = 0, nice = 0, system = 0, _idle, _iowait, irq = 0, softirq = 0] = text
    .slice(0, text.indexOf("\n"))
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}
