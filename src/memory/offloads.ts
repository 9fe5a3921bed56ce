// Tells the engine which offloads it may use. What the kernel does by itself (UDP_GRO, TSO on reads) needs no word:
// the engine takes whatever comes.

import {
  HEADER_AT,
  HEADER_GSO_TRIAL,
  HEADER_OFFLOADS,
  OFFLOAD_GRO_ENDED,
  OFFLOAD_TUN_TCP,
  OFFLOAD_TUN_UDP,
  OFFLOAD_UDP_GSO,
} from "../../assembly/shared/layout.ts";
import type { SharedMemory } from "./shared-memory.ts";

const BITS: Readonly<Record<string, number>> = {
  "udp-gso": OFFLOAD_UDP_GSO,
  "tun-tcp": OFFLOAD_TUN_TCP,
  "tun-udp": OFFLOAD_TUN_UDP,
};

/**
 * Takes effect with the next call of the engine. `hasGroEnded`: UDP_GRO was in force before and is not any more, so
 * that joined datagrams which do not say so may still come.
 */
export function allowOffloads(
  shared: SharedMemory,
  states: readonly { name: string; on: boolean }[],
  hasGroEnded = false,
): void {
  let bits = hasGroEnded ? OFFLOAD_GRO_ENDED : 0;
  for (const { name, on } of states) if (on) bits |= BITS[name] ?? 0;
  Atomics.store(shared.i32, (HEADER_AT + HEADER_OFFLOADS) >>> 2, bits);
}

/** Lets the engine try UDP_SEGMENT again with the nodes whose path refused it. */
export function forgetGsoRefusals(shared: SharedMemory): void {
  Atomics.add(shared.i32, (HEADER_AT + HEADER_GSO_TRIAL) >>> 2, 1);
}
