// What was lost on the way, by reason: what a proxy counts itself, and what the kernel drops before the proxy sees it.

import { builtFile } from "../../src/lab/build-paths.ts";
import { controlSocket } from "../../src/lab/lab.ts";
import type { Sandbox } from "../../src/lab/sandbox.ts";
import type { CountersReport, StatusReport } from "../../src/model/reports.ts";

/** Reason -> packets, without those that are 0. */
export type Drops = Readonly<Record<string, number>>;

/** Program line of `sapwood ARGS`. */
export function sapwood(...args: readonly string[]): string[] {
  return [process.execPath, builtFile("src/main.js"), ...args];
}

/** Since the start of a node's proxy. */
export async function dropsOf(sandbox: Sandbox, node: string): Promise<Drops> {
  const ask = async (command: string): Promise<string> =>
    sandbox.expect(sapwood(command, "--json", "--socket", controlSocket(node)), node);
  const { counters, drops }: CountersReport = JSON.parse(await ask("counters"));
  const { tun }: StatusReport = JSON.parse(await ask("status"));
  const link = await sandbox.expect(["ip", "-json", "-stats", "link", "show", "dev", tun.name], node);
  const [{ stats64 }] = JSON.parse(link);
  const protocols = await sandbox.expect(["cat", "/proc/net/snmp", "/proc/net/snmp6"], node);
  return nonZero([
    ...Object.entries(drops.egress).map(([reason, count]) => [`egress ${reason}`, count] as const),
    ...Object.entries(drops.ingress).map(([reason, count]) => [`ingress ${reason}`, count] as const),
    ["passed, and not captured", counters.packetsNotCaptured ?? 0],
    ["TUN queue full", stats64.tx.dropped],
    ["TUN write refused", stats64.rx.dropped],
    ["tunnel's receive buffer full", receiveBufferErrors(protocols)],
  ]);
}

/** What was added to `before` until `now`. */
export function dropsSince(before: Drops, now: Drops): Drops {
  return nonZero(Object.entries(now).map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const));
}

/** Of all UDP sockets in the namespace; a node has no other than the tunnel's. */
export function receiveBufferErrors(protocols: string): number {
  const [names = "", values = ""] = protocols.split("\n").filter((line) => line.startsWith("Udp:"));
  const v4 = Number(values.split(" ")[names.split(" ").indexOf("RcvbufErrors")]);
  const v6 = Number(/^Udp6RcvbufErrors\s+(\d+)/m.exec(protocols)?.[1]);
  return v4 + v6;
}

function nonZero(counts: readonly (readonly [string, number])[]): Drops {
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}
