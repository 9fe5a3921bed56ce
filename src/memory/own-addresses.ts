// Tells the engine which addresses this node has itself.

import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import { parseAddress } from "../net/address.ts";
import type { SharedMemory } from "./shared-memory.ts";

/**
 * Writes the addresses; of more than AddressLayout.OWN_MAX the first. An engine that looks meanwhile finds none, or
 * still compares with one that is half written: both cost no more than the one packet that it looks for.
 */
export function writeOwnAddresses(shared: SharedMemory, addresses: readonly string[]): void {
  const known = addresses.flatMap((address) => parseAddress(address) ?? []).slice(0, AddressLayout.OWN_MAX);
  const count = (HeaderLayout.AT + HeaderLayout.OWN_ADDRESS_COUNT) >>> 2;
  Atomics.store(shared.u32, count, 0);
  known.forEach((bytes, i) => {
    shared.bytes.set(bytes, shared.at(Region.ownAddresses) + i * AddressLayout.OWN_SIZE);
  });
  Atomics.store(shared.u32, count, known.length);
}
