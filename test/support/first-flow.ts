// One flow of A 1 to B, which the scenarios of flows begin with.

import { FLAG, packet, tcpPacket } from "./packet-builder.ts";
import { A1, B1, ROUND_ROBIN } from "./world.ts";

/** The first packet of a connection of A 1 to B by round robin. */
export const SYN = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN });
export const DATA = tcpPacket(A1.v4, ROUND_ROBIN.b.v4, { sport: 40000, dport: 80, flags: FLAG.ACK }, "data");
export const ONE = { egressPackets: 1 };

/** Counters without bytes, which other scenarios check. */
export function counted(counts: object): object {
  return Object.fromEntries(Object.entries(counts).filter(([name]) => !name.endsWith("Bytes")));
}

/** An answer of B 1 to the flow of SYN. */
export function answer(flags: number): Uint8Array {
  return packet().ip(B1.instanceV4, A1.v4).tcp({ sport: 80, dport: 40000, flags }).bytes();
}
