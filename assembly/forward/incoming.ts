// From the tunnel: the steps by which another node's message is handled.

import { countIngressDrop, countPackets } from "../area/count.ts";
import { isNoting, note } from "../area/verdict-notes.ts";
import { nodeOwner } from "../ask/owner.ts";
import { isProbe, receiveProbe } from "../measure/probe.ts";
import { translateIngress } from "../nat/ingress.ts";
import { translateErrorIngress } from "../nat/related.ts";
import { deliver } from "../offload/coalesce.ts";
import { fragment, piecesMax } from "../offload/fragment.ts";
import { SEGMENTS_MAX } from "../queue/arena.ts";
import { datagramSize, datagramsAt, datagramsLength, isTruncated, outerEcn, senderAt } from "../queue/received.ts";
import { Counter } from "../shared/counters.ts";
import * as Ecn from "../shared/ecn.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import { DropReason } from "../shared/verdicts.ts";
import { REVERSE } from "../table/bucket.ts";
import { describeFragment } from "../table/first-fragment.ts";
import { isWorthwhile, touchBucket, touchFlow } from "../table/prefetch.ts";
import { senderNode } from "../table/sender.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";
import { PacketKind } from "../wire/packet.ts";
import { firstFragment, laterFragmentIn } from "./fragments.ts";
import { takeOuterEcn } from "./outer-ecn.ts";
import { packet, passage, startPacketNote } from "./packet-in-hand.ts";

/** A message has at most this number of packets; one with more is dropped. */
export function messagePackets(slot: u32): u32 {
  const length = datagramsLength(slot);
  return min<u32>(length / max<u32>(datagramSize(slot), 1) + 1 + piecesMax(length), SEGMENTS_MAX);
}

export function ingressMessage(slot: u32, nowUs: f64, nowMs: u32): void {
  const sender = senderAt(slot);
  const node = senderNode(sender);
  if (node == NodeLayout.LOCAL) return dropMessage(slot, DropReason.unknownNode);
  const length = datagramsLength(slot);
  if (length == 0) return dropMessage(slot, DropReason.emptyDatagram);
  if (isTruncated(slot)) return dropMessage(slot, DropReason.truncatedFrame);
  const size = datagramSize(slot);
  if (length / size >= SEGMENTS_MAX) return dropMessage(slot, DropReason.badOffload);
  if (isWorthwhile()) prefetchDatagrams(slot, length / size);
  const ecn = outerEcn(slot);
  let at = datagramsAt(slot);
  for (let rest = length; rest != 0; ) {
    const datagram = min(size, rest);
    rest -= datagram;
    if (isNoting) startPacketNote();
    const reason = isProbe(at, datagram)
      ? receiveProbe(at, datagram, sender, node, nowUs)
      : ingressDatagram(at, datagram, node, ecn, rest, size, nowMs);
    if (reason != DropReason.none) countIngressDrop(reason, 1);
    if (isNoting) note(at, datagram, reason, passage.flow);
    at += datagram;
  }
}

function dropMessage(slot: u32, reason: DropReason): void {
  countIngressDrop(reason, 1);
  if (isNoting) note(datagramsAt(slot), datagramsLength(slot), reason, 0);
}

function prefetchDatagrams(slot: u32, datagrams: u32): void {
  const at = datagramsAt(slot);
  const size = datagramSize(slot);
  const end = min<u32>(datagrams, WorkerLayout.BATCH_SIZE);
  for (let i: u32 = 0; i < end; i++) touchBucket(i, at + i * size);
  for (let i: u32 = 0; i < end; i++) touchFlow(i, REVERSE);
}

/**
 * `ecn` is what its outer header says, `rest` how many bytes of the message come behind the datagram, in datagrams of
 * `size` bytes.
 */
function ingressDatagram(at: usize, length: u32, node: u32, ecn: u32, rest: u32, size: u32, nowMs: u32): DropReason {
  const invalid = packet.parse(<u32>at, length);
  if (invalid != DropReason.none) return invalid;
  if (ecn != Ecn.NOT_ECT) {
    const marked = takeOuterEcn(at, ecn);
    if (marked != DropReason.none) return marked;
  }
  const isPlain = packet.isPlain;
  if (!isPlain) {
    if (packet.kind == PacketKind.laterFragment) return laterFragmentIn(node, nowMs);
    if (packet.isFragment) describeFragment(packet, node);
  }
  const refused =
    packet.kind == PacketKind.error
      ? translateErrorIngress(packet, node, nowMs)
      : translateIngress(packet, passage, node, nowMs);
  if (refused != DropReason.none) return refused;
  // Headers that became IPv6 are elsewhere, so that the received ones still say whether it may be fragmented.
  if (packet.isSplit && packet.length > IPV6_MTU_MIN && Ipv4.at(at).mayFragment) {
    fragment(packet, NodeLayout.LOCAL, IPV6_MTU_MIN, Counter.ingressPackets);
  } else {
    deliver(packet);
    countPackets(Counter.ingressPackets, 1, packet.length);
  }
  if (!isPlain && packet.isFragment && packet.fragmentOffset == 0)
    firstFragment(nodeOwner(node), NodeLayout.LOCAL, rest / size + 1 + piecesMax(rest), nowMs);
  return DropReason.none;
}
