// Whether a flow goes on in another generation of the tables: its client and its instance must still be there, with all
// that the flow uses of them. Whatever else changed leaves it alone.

import { Flow } from "../record/flow.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import { hasInstanceAddress, hasNamespaceAddress, isAlive, nodeOf } from "../table/instance.ts";

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
