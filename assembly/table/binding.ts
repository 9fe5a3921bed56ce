// Flows of a process before this one. Their records name both ends by addresses alone; what the tables of this process
// hold at these addresses is found when they have it. Until then no packet of theirs goes anywhere.

import { Flow } from "../record/flow.ts";
import { Service } from "../record/service.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import { FlowState } from "../shared/layout/flow.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import { ServiceKind } from "../shared/layout/service.ts";
import { DropReason } from "../shared/verdicts.ts";
import { findService, findWorkload, isV4Mapped, sameAddress } from "./address.ts";
import { bucketAt, lock, unlock } from "./bucket.ts";
import { setDeltas } from "./deltas.ts";
import { isLoad } from "./flow-record.ts";
import { forwardHash } from "./hash.ts";
import { countCalled, countServed, incarnation, instanceAddress, namespaceAddress, nodeOf } from "./instance.ts";
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
  const service = findService(flow + FlowLayout.TARGET_INSTANCE_ADDRESS);
  if (service == 0) {
    const isAsked = findService(flow + FlowLayout.CALLED) == 0;
    return isAsked ? DropReason.unknownAddress : DropReason.instanceGone;
  }
  if (Service.at(service).kind != ServiceKind.instance) return DropReason.instanceGone;
  const target = Service.at(service).candidates;
  if (!hasNamespaceAddress(target, Flow.at(flow).target)) return DropReason.instanceGone;
  const node = nodeOf(target);
  if (!isNodeKnown(node)) return DropReason.noNode;
  return settle(flow, client, target, node);
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
  setDeltas(flow);
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
    sameAddress(instanceAddress(client, isV4Mapped(address)), address) &&
    (!crosses || hasNamespaceAddress(client, Flow.at(flow).answered))
  );
}

function hasNamespaceAddress(instance: u32, address: v128): bool {
  return sameAddress(namespaceAddress(instance, isV4Mapped(address)), address);
}
