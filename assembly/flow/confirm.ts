// Whether a flow goes on in another generation of the tables: its client and its instance must still be there, with all
// that the flow uses of them. Whatever else changed leaves it alone.

import {
  FLOW_ANSWERED,
  FLOW_ANSWERS_CROSS,
  FLOW_CLIENT,
  FLOW_CLIENT_INCARNATION,
  FLOW_CLIENT_INSTANCE,
  FLOW_CLIENT_INSTANCE_ADDRESS,
  FLOW_INSTANCE,
  FLOW_INSTANCE_INCARNATION,
  FLOW_NODE,
  FLOW_SEEN,
  FLOW_TARGET,
  FLOW_TARGET_INSTANCE_ADDRESS,
  LOCAL_NODE,
} from "../shared/layout.ts";
import { isV4Mapped, sameAddress } from "../table/address.ts";
import { instanceAddress, isAlive, namespaceAddress, nodeOf } from "../table/instance.ts";

/** Whether the flow's client is still the workload of this node that it was. */
export function isClientAlive(flow: usize): bool {
  const client = load<u32>(flow, FLOW_CLIENT_INSTANCE);
  return (
    isAlive(client, load<u32>(flow, FLOW_CLIENT_INCARNATION)) &&
    nodeOf(client) == LOCAL_NODE &&
    hasNamespaceAddress(client, v128.load(flow, FLOW_CLIENT)) &&
    hasInstanceAddress(client, v128.load(flow, FLOW_CLIENT_INSTANCE_ADDRESS)) &&
    ((load<u8>(flow, FLOW_SEEN) & FLOW_ANSWERS_CROSS) == 0 ||
      hasNamespaceAddress(client, v128.load(flow, FLOW_ANSWERED)))
  );
}

/** Whether the flow's instance is still where its packets go. */
export function isTargetAlive(flow: usize): bool {
  const target = load<u32>(flow, FLOW_INSTANCE);
  return (
    isAlive(target, load<u32>(flow, FLOW_INSTANCE_INCARNATION)) &&
    nodeOf(target) == load<u16>(flow, FLOW_NODE) &&
    hasNamespaceAddress(target, v128.load(flow, FLOW_TARGET)) &&
    hasInstanceAddress(target, v128.load(flow, FLOW_TARGET_INSTANCE_ADDRESS))
  );
}

function hasNamespaceAddress(instance: u32, address: v128): bool {
  return sameAddress(namespaceAddress(instance, isV4Mapped(address)), address);
}

function hasInstanceAddress(instance: u32, address: v128): bool {
  return sameAddress(instanceAddress(instance, isV4Mapped(address)), address);
}
