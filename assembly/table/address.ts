// Lookups in the address table (called address -> service record), the workload table (namespace address -> instance)
// and the sender table (underlay address and port -> node), all with the same slots, and the test whether an address
// lies in a service range.

import { placeInForce } from "../area/generation.ts";
import {
  addressesAt,
  addressMask,
  ownAddressesAt,
  senderMask,
  sendersAt,
  servicesAt,
  workloadMask,
  workloadsAt,
} from "../area/regions.ts";
import { AddressSlot } from "../record/address.ts";
import * as Header from "../record/header.ts";
import { Endpoint } from "../record/node.ts";
import * as AddressLayout from "../shared/layout/address.ts";
import * as KernelLayout from "../shared/layout/kernel.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as ServiceLayout from "../shared/layout/service.ts";
import { addressHash } from "./hash.ts";

/** Service record of the called address at `key`, or 0. */
export function findService(key: usize): usize {
  const index = find(addressesAt, addressMask, key, 0);
  return index == 0 ? 0 : servicesAt + <usize>index * ServiceLayout.SIZE;
}

/** Index of the instance of this node whose namespace address is at `key`, or 0. */
export function findWorkload(key: usize): u32 {
  return find(workloadsAt, workloadMask, key, 0);
}

/** The node whose datagrams come from the sockaddr at `name`, or NodeLayout.LOCAL: nobody's do. */
export function findSender(name: usize): u32 {
  const node = find(sendersAt, senderMask, name + KernelLayout.SOCKADDR_ADDRESS, Endpoint.at(name).port);
  return node != NodeLayout.LOCAL
    ? node
    : find(sendersAt, senderMask, name + KernelLayout.SOCKADDR_ADDRESS, AddressLayout.ANY_PORT);
}

/** `port` is 0 but for senders. */
function find(tableAt: usize, mask: u32, key: usize, port: u32): u32 {
  const wanted = v128.load(key);
  const used = AddressLayout.SLOT_USED | (port << AddressLayout.PORT_SHIFT);
  let slot = addressHash(key) & mask;
  // The table is never full (shared/layout/address.ts), so that an empty slot ends the loop.
  while (true) {
    const at = tableAt + <usize>slot * AddressLayout.SLOT_SIZE;
    const state = AddressSlot.at(at).loadState();
    if (state == AddressLayout.SLOT_EMPTY) return 0;
    if (state == used && sameAddress(AddressSlot.at(at).key, wanted)) {
      const place = placeInForce(AddressSlot.at(at).loadVersion());
      return AddressSlot.at(at + (place << 2)).values;
    }
    slot = (slot + 1) & mask;
  }
}

/** Whether this node itself has the address at `key`. */
export function isOwnAddress(key: usize): bool {
  const wanted = v128.load(key);
  const end = ownAddressesAt + <usize>Header.ownAddressCount.load() * AddressLayout.OWN_SIZE;
  for (let at = ownAddressesAt; at < end; at += AddressLayout.OWN_SIZE) {
    if (sameAddress(v128.load(at), wanted)) return true;
  }
  return false;
}

export function isInServiceRange(address: v128): bool {
  for (let i: u32 = 0; i < Header.rangeCount.value; i++) {
    const range = Header.range(i);
    if (sameAddress(v128.and(address, range.mask), range.prefix)) return true;
  }
  return false;
}

export function sameAddress(a: v128, b: v128): bool {
  return !v128.any_true(v128.xor(a, b));
}

/** The prefix ::ffff:0:0/96 (RFC 4291 section 2.5.5.2): an IPv4 address. */
export function isV4Mapped(address: v128): bool {
  return i64x2.extract_lane(address, 0) == 0 && <u32>i32x4.extract_lane(address, 2) == 0xffff0000;
}

/** 16 zero bytes mean "none" in the records. */
export function isNoAddress(address: v128): bool {
  return !v128.any_true(address);
}
