// Instance records, read-only, and the live flow counts that the data plane keeps per instance.

import {
  INSTANCE_ADDRESS_V4,
  INSTANCE_ADDRESS_V6,
  INSTANCE_DIED,
  INSTANCE_INCARNATION,
  INSTANCE_LOAD_SIZE,
  INSTANCE_NAMESPACE_V4,
  INSTANCE_NAMESPACE_V6,
  INSTANCE_NODE,
  INSTANCE_SIZE,
} from "../shared/layout.ts";
import { isNoAddress } from "./address.ts";
import { generation } from "./generation.ts";
import { instanceLoadsAt, instancesAt } from "./regions.ts";

export function namespaceAddress(index: u32, isIpv4: bool): v128 {
  const at = instanceAt(index);
  return isIpv4 ? v128.load(at, INSTANCE_NAMESPACE_V4) : v128.load(at, INSTANCE_NAMESPACE_V6);
}

export function instanceAddress(index: u32, isIpv4: bool): v128 {
  const at = instanceAt(index);
  return isIpv4 ? v128.load(at, INSTANCE_ADDRESS_V4) : v128.load(at, INSTANCE_ADDRESS_V6);
}

/** An address that a workload of this node is known by, whichever family it uses. */
export function identityAt(index: u32): usize {
  const at = instanceAt(index);
  return at + (isNoAddress(v128.load(at, INSTANCE_NAMESPACE_V4)) ? INSTANCE_NAMESPACE_V6 : INSTANCE_NAMESPACE_V4);
}

export function nodeOf(index: u32): u32 {
  return load<u32>(instanceAt(index), INSTANCE_NODE);
}

export function incarnation(index: u32): u32 {
  return load<u32>(instanceAt(index), INSTANCE_INCARNATION);
}

/** Whether the record still stands for the instance that had this incarnation, in the generation in force. */
export function isAlive(index: u32, expectedIncarnation: u32): bool {
  const at = instanceAt(index);
  return load<u32>(at, INSTANCE_INCARNATION) == expectedIncarnation && atomic.load<u32>(at, INSTANCE_DIED) > generation;
}

export function addLoad(index: u32, flows: i32): void {
  atomic.add<i32>(instanceLoadsAt + <usize>index * INSTANCE_LOAD_SIZE, flows);
}

function instanceAt(index: u32): usize {
  return instancesAt + <usize>index * INSTANCE_SIZE;
}
