// Who is charged for the room that a packet takes while it or its later fragments wait: a hash of an
// address that the sender cannot choose.

import * as KernelLayout from "../shared/layout/kernel.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as WaitingLayout from "../shared/layout/waiting.ts";
import { findWorkload } from "../table/address.ts";
import { addressHash } from "../table/hash.ts";
import { identityAt } from "../table/instance.ts";
import { endpointAt } from "../table/node.ts";
import { Packet } from "../wire/packet.ts";

/** Of a packet from the TUN: its workload. */
export function workloadOwner(packet: Packet): u32 {
  const workload = findWorkload(packet.sourceAt);
  return workload == 0 ? WaitingLayout.OWNER_OTHERS : ownerAt(identityAt(workload));
}

/** Of a packet from the tunnel: the address of its node. All strangers are one. */
export function nodeOwner(node: u32): u32 {
  return node == NodeLayout.STRANGER
    ? WaitingLayout.OWNER_OTHERS
    : ownerAt(endpointAt(node) + KernelLayout.SOCKADDR_ADDRESS);
}

function ownerAt(address: usize): u32 {
  return max<u32>(addressHash(address) & ~WaitingLayout.OWNER_URGENT, WaitingLayout.OWNER_OTHERS + 1);
}
