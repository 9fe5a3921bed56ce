// Flows of a process before this one. Their records name both ends by addresses alone; what the tables of this process
// hold at these addresses is found when they have it. Until then no packet of theirs goes anywhere.

import { Flow } from "../record/flow.ts";
import { Service } from "../record/service.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import { FlowState } from "../shared/layout/flow.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import { ServiceKind } from "../shared/layout/service.ts";
import { DropReason } from "../shared/verdicts.ts";
import { findService, findWorkload } from "./address.ts";
import { bucketAt, lock, unlock } from "./bucket.ts";
import { isLoad } from "./flow-record.ts";
import { setState } from "./flow-state.ts";
import { forwardHash } from "./hash.ts";
import {
  countCalled,
  countServed,
  hasInstanceAddress,
  hasNamespaceAddress,
  incarnation,
  nodeOf,
  uncountCalled,
} from "./instance.ts";
import { isNodeKnown } from "./node.ts";

/**
 * Binds an unbound flow to the client and the instance that have its addresses. Returns DropReason.none when it is
 * bound, by whomever; why it waits on (unknownWorkload, unknownAddress, noNode); or instanceGone when the tables say
 * that an end of it is not there any more.
 */
export function bind(flow: usize): DropReason {
  const client = findWorkload(flow + FlowLayout.CLIENT);
  if (client == 0) return DropReason.unknownWorkload;
  if (!isClient(flow, client)) return DropReason.instanceGone;
  const target = targetOf(flow);
  if (target == 0) return isUnknown(flow) ? DropReason.unknownAddress : DropReason.instanceGone;
  const node = nodeOf(target);
  if (!isNodeKnown(node)) return DropReason.noNode;
  return settle(flow, client, target, node);
}

/**
 * Leads a flow to its instance again, where that came back into the tables as another record: an instance that was
 * dropped for disuse is the same as before, if its addresses are. False if there is none. Meanwhile the flow is unbound:
 * whoever ends it then counts it nowhere.
 */
export function rebind(flow: usize): bool {
  const client = Flow.at(flow).clientInstance;
  const target = targetOf(flow);
  if (target == 0) return false;
  const node = nodeOf(target);
  if (!isNodeKnown(node)) return false;
  const bucket = bucketAt(forwardHash(flow));
  lock(bucket);
  const isThere = unbind(flow);
  unlock(bucket);
  return isThere && settle(flow, client, target, node) == DropReason.none;
}

/** False when the flow has ended. */
function unbind(flow: usize): bool {
  while (true) {
    const state: u32 = Flow.at(flow).state;
    if (state == FlowState.free) return false;
    if ((state & FlowLayout.UNBOUND) != 0) return true;
    if (!setState(flow, state, state | FlowLayout.UNBOUND)) continue; // another worker moved it just now
    uncountCalled(Flow.at(flow).clientInstance, Flow.at(flow).clientIncarnation);
    return true;
  }
}

/** The instance that has the flow's addresses, or 0. */
function targetOf(flow: usize): u32 {
  const service = findService(flow + FlowLayout.TARGET_INSTANCE_ADDRESS);
  if (service == 0 || Service.at(service).kind != ServiceKind.instance) return 0;
  const target = Service.at(service).candidates;
  return hasNamespaceAddress(target, Flow.at(flow).target) ? target : 0;
}

/** Whether the tables have neither the instance's address nor the one that was called. */
function isUnknown(flow: usize): bool {
  return findService(flow + FlowLayout.TARGET_INSTANCE_ADDRESS) == 0 && findService(flow + FlowLayout.CALLED) == 0;
}

/** Of several workers one binds the flow, and nobody one that ends at this moment. */
function settle(flow: usize, client: u32, target: u32, node: u32): DropReason {
  const bucket = bucketAt(forwardHash(flow));
  lock(bucket);
  const unbound: u32 = Flow.at(flow).state;
  if ((unbound & FlowLayout.UNBOUND) == 0) {
    unlock(bucket);
    return unbound == FlowState.free ? DropReason.instanceGone : DropReason.none;
  }
  Flow.at(flow).node = <u16>node;
  Flow.at(flow).instance = target;
  Flow.at(flow).instanceIncarnation = incarnation(target);
  Flow.at(flow).clientInstance = client;
  Flow.at(flow).clientIncarnation = incarnation(client);
  const state = unbound & ~FlowLayout.UNBOUND;
  const isMine = Flow.at(flow).exchangeIfState(<u8>unbound, <u8>state) == <u8>unbound;
  unlock(bucket);
  if (!isMine) return DropReason.instanceGone;
  countCalled(client, Flow.at(flow).clientIncarnation);
  const isBalanced = (Flow.at(flow).seen & FlowLayout.IS_BALANCED) != 0;
  if (isBalanced && isLoad(state)) countServed(target, Flow.at(flow).instanceIncarnation, 1);
  return DropReason.none;
}

function isClient(flow: usize, client: u32): bool {
  const address = Flow.at(flow).clientInstanceAddress;
  const crosses = (Flow.at(flow).seen & FlowLayout.ANSWERS_CROSS) != 0;
  return (
    nodeOf(client) == NodeLayout.LOCAL &&
    hasInstanceAddress(client, address) &&
    (!crosses || hasNamespaceAddress(client, Flow.at(flow).answered))
  );
}
