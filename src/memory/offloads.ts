// Tells the engine which offloads it may use. What the kernel does by itself (UDP_GRO, TSO on reads) needs no word:
// the engine takes whatever comes.

import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import type { SharedMemory } from "./shared-memory.ts";

const BITS: Readonly<Record<string, number>> = {
  "udp-gso": HeaderLayout.OFFLOAD_UDP_GSO,
  "tun-tcp": HeaderLayout.OFFLOAD_TUN_TCP,
  "tun-udp": HeaderLayout.OFFLOAD_TUN_UDP,
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
  let bits = hasGroEnded ? HeaderLayout.OFFLOAD_GRO_ENDED : 0;
  for (const { name, on } of states) if (on) bits |= BITS[name] ?? 0;
  Atomics.store(shared.i32, (HeaderLayout.AT + HeaderLayout.OFFLOADS) >>> 2, bits);
}

/** Lets the engine try UDP_SEGMENT again with the nodes whose path refused it. */
export function forgetGsoRefusals(shared: SharedMemory): void {
  Atomics.add(shared.i32, (HeaderLayout.AT + HeaderLayout.GSO_TRIAL) >>> 2, 1);
}
