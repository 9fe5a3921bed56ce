// Fragments: the first one decides how the others are handled, also those that came before it.

import { countEgressDrop, countIngressDrop, countPackets } from "../area/count.ts";
import { nodeOwner, workloadOwner } from "../ask/owner.ts";
import { largestTo } from "../nat/fit.ts";
import { admitSource } from "../nat/ingress.ts";
import { holdFragment, translateLater } from "../nat/later-fragment.ts";
import { fragment, piecesMax } from "../offload/fragment.ts";
import { hasRoom } from "../queue/arena.ts";
import { writePacket } from "../queue/tun.ts";
import { sendPacket } from "../queue/udp.ts";
import { FRAGMENTS, release, rowOf, waitingAt, waitingRecord } from "../queue/waiting.ts";
import { FirstFragment } from "../record/fragment.ts";
import { Held } from "../record/waiting.ts";
import { Counter } from "../shared/counters.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as WaitingLayout from "../shared/layout/waiting.ts";
import { DropReason } from "../shared/verdicts.ts";
import { findWorkload, isInServiceRange } from "../table/address.ts";
import { describeFragment, findFirst, noteFirst, sameFragmentKey } from "../table/first-fragment.ts";
import { isNodeKnown } from "../table/node.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { packet } from "./packet-in-hand.ts";

/**
 * The other fragments are treated as the first one was, also those that wait already. The queues keep room for the
 * `behind` packets that the message in hand may still become.
 */
export function firstFragment(owner: u32, node: u32, behind: u32, nowMs: u32): void {
  const first = noteFirst(packet, owner, node, nowMs);
  let number = rowOf(FRAGMENTS).first;
  for (let left = rowOf(FRAGMENTS).count; left != 0; left--) {
    const record = waitingRecord(number);
    const next = Held.at(record).next;
    if (sameFragmentKey(record, first)) {
      // What does not fit waits on, for a repetition of the first fragment.
      if (!hasRoom(piecesMax(Held.at(record).length) + behind)) return;
      packet.parse(<u32>waitingAt(number), Held.at(record).length);
      passOn(first);
      release(FRAGMENTS, number);
    }
    number = next;
  }
}

/** From the TUN. What has no first one waits for it, if it may be that of a flow. */
export function laterFragmentOut(nowMs: u32): DropReason {
  describeFragment(packet, NodeLayout.LOCAL);
  const first = findFirst(nowMs);
  if (first != 0) {
    passOn(first);
    return DropReason.none;
  }
  if (!isInServiceRange(packet.destination)) return DropReason.notServiceAddress;
  const owner = workloadOwner(packet);
  return owner == WaitingLayout.OWNER_OTHERS ? DropReason.unknownWorkload : holdFragment(packet, owner, nowMs);
}

/** The same from the node `sender`. */
export function laterFragmentIn(sender: u32, nowMs: u32): DropReason {
  describeFragment(packet, sender);
  const first = findFirst(nowMs);
  if (first != 0) {
    passOn(first);
    return DropReason.none;
  }
  if (findWorkload(packet.destinationAt) == 0) return DropReason.notLocalDestination;
  const refused = admitSource(packet, sender);
  return refused != DropReason.none ? refused : holdFragment(packet, nodeOwner(sender), nowMs);
}

function passOn(first: usize): void {
  const isFromTun = FirstFragment.at(first).sender == NodeLayout.LOCAL;
  const wasIpv4 = packet.isIpv4;
  const mayCut = wasIpv4 && Ipv4.at(packet.at).mayFragment;
  const refused = translateLater(packet, first, !isFromTun);
  if (refused != DropReason.none) return isFromTun ? countEgressDrop(refused, 1) : countIngressDrop(refused, 1);
  const node = FirstFragment.at(first).node;
  if (node != NodeLayout.LOCAL && !isNodeKnown(node)) return countEgressDrop(DropReason.noNode, 1);
  const isLocal = node == NodeLayout.LOCAL;
  const counter = !isLocal ? Counter.egressPackets : isFromTun ? Counter.localPackets : Counter.ingressPackets;
  const mtu = largestTo(node, wasIpv4 && !packet.isIpv4, mayCut);
  if (packet.length > mtu) {
    if (mayCut) return fragment(packet, node, mtu, counter);
    // The sender learnt it by the first one. Of one from the tunnel the next router tells it.
    if (isFromTun) return countEgressDrop(DropReason.tooBig, 1);
  }
  if (isLocal) writePacket(packet);
  else sendPacket(node, packet);
  countPackets(counter, 1, packet.length);
}
