// Unreachable routes for the service ranges, which stay when the TUN goes: without them, packets to service addresses
// would leave by the node's default route while no proxy runs, in clear and with real addresses. The TUN's routes go
// first, because their metric is the better one. Who sends meanwhile gets an ICMP error at once.

import { ip, ipBatch, parseList } from "./ip-command.ts";

/** Behind every route that somebody would set, and not the metric of anybody else's. */
const METRIC = 4_294_901_760;
/** Marks routes as ours; beyond the numbers of rtnetlink.h and of routing daemons (rt_protos). */
const PROTOCOL = "199";

/** Sets the routes; those that a process before left are taken over. */
export async function setGuardRoutes(ranges: readonly string[]): Promise<void> {
  await ipBatch(ranges.map((range) => `route replace ${guardRoute(range)}`));
}

/** Removes the routes that there are. */
export async function removeGuardRoutes(ranges: readonly string[]): Promise<void> {
  const found: string[] = [];
  for (const range of ranges) {
    if ((await routesTo(range)).some(isGuardRoute)) found.push(range);
  }
  if (found.length > 0) await ipBatch(found.map((range) => `route del ${guardRoute(range)}`));
}

/** The main table's routes to exactly this prefix. */
export async function routesTo(range: string): Promise<Record<string, unknown>[]> {
  const family = range.includes(":") ? "-6" : "-4"; // `show` reads IPv4 without it
  return parseList(await ip([family, "-json", "route", "show", "exact", range]));
}

export function isGuardRoute({ type, metric, protocol }: Record<string, unknown>): boolean {
  return type === "unreachable" && metric === METRIC && String(protocol) === PROTOCOL;
}

function guardRoute(range: string): string {
  return `unreachable ${range} metric ${METRIC} protocol ${PROTOCOL}`;
}
