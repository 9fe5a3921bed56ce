// The weight of a thread against others that want the same processor.

import { setpriority } from "./libc.ts";

const PRIO_PROCESS = 0; // sys/resource.h; Linux takes it for one thread
const THIS_THREAD = 0;

/**
 * Gives the calling thread, and no other of the process, a nice value: -20 (goes first) to 19. Whether the kernel did
 * so: a value below the present one needs CAP_SYS_NICE, or a limit that allows it (RLIMIT_NICE).
 */
export function setThreadNice(nice: number): boolean {
  return setpriority(PRIO_PROCESS, THIS_THREAD, nice) >= 0;
}
