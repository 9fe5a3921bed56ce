// Packets that the kernel drops on their way into a TUN because its queue is full: the worker never sees them.

import { readFileSync } from "node:fs";

/** Of this process's network namespace; what is mounted at /sys may show another's. */
const STATISTICS = "/proc/self/net/dev";
/** Transmit drops among the numbers of a line, counted from 0 (net/core/net-procfs.c, dev_seq_printf_stats). */
const TRANSMIT_DROPS = 11;

/**
 * Drops of an interface since it was made; 0 when it is gone. A TUN drops in its driver, not in its queueing discipline
 * (tun.c, tun_net_xmit, never makes the discipline wait), so this is all.
 */
export function readTransmitDrops(device: string): number {
  return transmitDrops(readFileSync(STATISTICS, "utf8"), device);
}

/** Reads the text of /proc/net/dev. */
export function transmitDrops(statistics: string, device: string): number {
  for (const line of statistics.split("\n")) {
    const colon = line.lastIndexOf(":"); // a name may hold colons, the numbers do not
    if (line.slice(0, colon).trim() !== device) continue;
    return Number(
      line
        .slice(colon + 1)
        .trim()
        .split(/\s+/)[TRANSMIT_DROPS] ?? 0,
    );
  }
  return 0;
}
