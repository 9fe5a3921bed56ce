// Whether a flow goes on in another generation of the tables: its client and its instance must still be there, with all
// that the flow uses of them. Whatever else changed leaves it alone.

import { Flow } from "../record/flow.ts";
import { Service } from "../record/service.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import { ServiceKind } from "../shared/layout/service.ts";
import { findService, isV4Mapped, sameAddress } from "../table/address.ts";
import { moveLoad } from "../table/flow.ts";
import { instanceAddress, isAlive, namespaceAddress, nodeOf } from "../table/instance.ts";
import { isNodeKnown } from "../table/node.ts";

/** Whether the flow's client is still the workload of this node that it was. */
export function isClientAlive(flow: usize): bool {
  const client = Flow.at(flow).clientInstance;
  return (
    isAlive(client, Flow.at(flow).clientIncarnation) &&
    nodeOf(client) == NodeLayout.LOCAL &&
    hasNamespaceAddress(client, Flow.at(flow).client) &&
    hasInstanceAddress(client, Flow.at(flow).clientInstanceAddress) &&
    ((Flow.at(flow).seen & FlowLayout.ANSWERS_CROSS) == 0 || hasNamespaceAddress(client, Flow.at(flow).answered))
  );
}

/** Whether the flow's instance is still where its packets go. */
export function isTargetAlive(flow: usize): bool {
  const target = Flow.at(flow).instance;
  return (
    isAlive(target, Flow.at(flow).instanceIncarnation) &&
    nodeOf(target) == Flow.at(flow).node &&
    hasNamespaceAddress(target, Flow.at(flow).target) &&
    hasInstanceAddress(target, Flow.at(flow).targetInstanceAddress)
  );
}

/**
 * Leads the flow to its instance again, where that came back into the tables as another record: an instance that was
 * dropped for disuse is the same as before, if its addresses are. False if there is none.
 */
export function rejoin(flow: usize): bool {
  const service = findService(flow + FlowLayout.TARGET_INSTANCE_ADDRESS);
  if (service == 0 || Service.at(service).kind != ServiceKind.instance) return false;
  const target = Service.at(service).candidates;
  const node = nodeOf(target);
  if (!hasNamespaceAddress(target, Flow.at(flow).target) || !isNodeKnown(node)) return false;
  moveLoad(flow, target);
  Flow.at(flow).node = <u16>node;
  return true;
}

function hasNamespaceAddress(instance: u32, address: v128): bool {
  return sameAddress(namespaceAddress(instance, isV4Mapped(address)), address);
}

function hasInstanceAddress(instance: u32, address: v128): bool {
  return sameAddress(instanceAddress(instance, isV4Mapped(address)), address);
}
