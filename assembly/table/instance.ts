// Instance records, read-only, and the flow counts that the data plane keeps per instance.

import { generation, placeInForce } from "../area/generation.ts";
import { instanceLoadsAt, instancesAt } from "../area/regions.ts";
import * as Header from "../record/header.ts";
import { Instance, InstanceLoad } from "../record/instance.ts";
import * as InstanceLayout from "../shared/layout/instance.ts";
import { isNoAddress, isV4Mapped, sameAddress } from "./address.ts";

export function namespaceAddress(index: u32, isIpv4: bool): v128 {
  const at = placeAt(index);
  return isIpv4 ? Instance.at(at).namespaceV4 : Instance.at(at).namespaceV6;
}

export function instanceAddress(index: u32, isIpv4: bool): v128 {
  const at = placeAt(index);
  return isIpv4 ? Instance.at(at).addressV4 : Instance.at(at).addressV6;
}

/** An address that a workload of this node is known by, whichever family it uses. */
export function identityAt(index: u32): usize {
  const at = placeAt(index);
  return at + (isNoAddress(Instance.at(at).namespaceV4) ? InstanceLayout.NAMESPACE_V6 : InstanceLayout.NAMESPACE_V4);
}

export function nodeOf(index: u32): u32 {
  return Instance.at(placeAt(index)).node;
}

export function incarnation(index: u32): u32 {
  return Instance.at(instanceAt(index)).incarnation;
}

/** Whether the record is still that of the instance that had this incarnation, in the generation in force. */
export function isAlive(index: u32, expectedIncarnation: u32): bool {
  const at = instanceAt(index);
  return Instance.at(at).incarnation == expectedIncarnation && Instance.at(at).loadDied() > generation;
}

/** What checks say of it: an InstanceHealth. */
export function healthOf(index: u32): u32 {
  return Instance.at(instanceAt(index)).loadHealth();
}

/** Counts flows that the instance serves, as long as it is the one of this incarnation. */
export function countServed(index: u32, expectedIncarnation: u32, flows: i32): void {
  addTo(loadsAt(index) + InstanceLayout.LOAD_SERVED, expectedIncarnation, flows);
}

/** Counts a flow that the instance has as a client, likewise. */
export function countCalled(index: u32, expectedIncarnation: u32): void {
  const before = addTo(loadsAt(index) + InstanceLayout.LOAD_CALLED, expectedIncarnation, 1);
  if (before == 0) Header.clientCount.add(1);
}

export function uncountCalled(index: u32, expectedIncarnation: u32): void {
  const before = addTo(loadsAt(index) + InstanceLayout.LOAD_CALLED, expectedIncarnation, -1);
  if (before == 1) Header.clientCount.subtract(1);
}

/** How many flows the instance has as a client. */
export function calledFlows(index: u32): u32 {
  // Below 0 for a moment, when another worker ends a flow before it was counted.
  return max<i32>(0, <i32>InstanceLoad.at(loadsAt(index)).loadCalled());
}

/** Returns the count before, or u32.MAX_VALUE when the count is of another incarnation, and is left alone. */
function addTo(count: usize, expectedIncarnation: u32, flows: i32): u32 {
  while (true) {
    const before = atomic.load<u64>(count);
    if (<u32>(before >>> 32) != expectedIncarnation) return u32.MAX_VALUE;
    const after = ((<u64>expectedIncarnation) << 32) | <u64>(<u32>before + flows);
    if (atomic.cmpxchg<u64>(count, before, after) == before) return <u32>before;
  }
}

function placeAt(index: u32): usize {
  const at = instanceAt(index);
  return at + <usize>placeInForce(Instance.at(at).loadVersion()) * InstanceLayout.PLACE_SIZE;
}

function instanceAt(index: u32): usize {
  return instancesAt + <usize>index * InstanceLayout.SIZE;
}

function loadsAt(index: u32): usize {
  return instanceLoadsAt + <usize>index * InstanceLayout.LOAD_SIZE;
}

/** Whether it is an address of the workload itself. */
export function hasNamespaceAddress(instance: u32, address: v128): bool {
  return sameAddress(namespaceAddress(instance, isV4Mapped(address)), address);
}

/** Whether it is the instance address of its family. */
export function hasInstanceAddress(instance: u32, address: v128): bool {
  return sameAddress(instanceAddress(instance, isV4Mapped(address)), address);
}
