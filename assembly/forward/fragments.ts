// Fragments: the first one decides what becomes of the others, also of those that came before it.

import { hasRoom } from "../frame/arena.ts";
import { count, countEgressDrop, countIngressDrop } from "../frame/count.ts";
import { FRAGMENTS, firstWaiting, release, waitingAt, waitingCount, waitingRecord } from "../frame/hold.ts";
import { writePacket } from "../frame/tun-queue.ts";
import { closeMessage, sendToNode } from "../frame/udp-queue.ts";
import { finishFrame } from "../offload/coalesce.ts";
import { fragment, fragmentBytes, fragmentCount } from "../offload/fragment.ts";
import { Counter } from "../shared/counters.ts";
import { FRAGMENT_NODE, FRAGMENT_SENDER, HELD_LENGTH, HELD_NEXT, LOCAL_NODE } from "../shared/layout.ts";
import { DropReason } from "../shared/verdicts.ts";
import { isNoAddress } from "../table/address.ts";
import { describeFragment, findFirst, noteFirst, sameFragmentKey } from "../table/first-fragment.ts";
import { forgetsMtu, isNodeKnown, pathMtu } from "../table/node.ts";
import { holdFragment, translateLater } from "../translate/fragments.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { packet } from "./packet-in-hand.ts";

/** The message in hand: size of its datagrams, and its end; size 0 = none. */
let messageSize: u32 = 0;
let messageEnd: u32 = 0;

/** Says of which message datagrams are still to be handled, in front of `end`; size 0 = none. */
export function setMessage(size: u32, end: u32): void {
  messageSize = size;
  messageEnd = end;
}

/** What became of a first fragment becomes of the others, also of those that wait already. */
export function firstFragment(node: u32, nowMs: u32): void {
  const first = noteFirst(packet, node, nowMs);
  if (waitingCount(FRAGMENTS) == 0) return;
  const left = messageSize == 0 ? 0 : (messageEnd - packet.at) / messageSize; // datagrams still to be handled
  let before: u32 = 0;
  for (let number = firstWaiting(FRAGMENTS); number != 0; ) {
    const record = waitingRecord(number);
    const next = load<u32>(record, HELD_NEXT);
    if (!sameFragmentKey(record, first)) {
      before = number;
    } else if (hasRoom(1 + left)) {
      packet.parse(<u32>waitingAt(number), load<u32>(record, HELD_LENGTH));
      passOn(first, nowMs);
      release(FRAGMENTS, number, before);
    } else {
      return; // the rest may be lucky with a repetition of the first
    }
    number = next;
  }
}

/** `sender` is the sockaddr that it came from, 0 = the TUN. */
export function laterFragment(sender: usize, nowMs: u32): DropReason {
  describeFragment(packet, sender);
  const first = findFirst(nowMs);
  if (first == 0) return holdFragment(packet, nowMs);
  passOn(first, nowMs);
  return DropReason.none;
}

function passOn(first: usize, nowMs: u32): void {
  const isFromTun = isNoAddress(v128.load(first, FRAGMENT_SENDER));
  const isCuttable = packet.isIpv4 && Ipv4.at(packet.at).mayFragment;
  const refused = translateLater(packet, first, !isFromTun);
  if (refused != DropReason.none) return isFromTun ? countEgressDrop(refused, 1) : countIngressDrop(refused, 1);
  const node = load<u32>(first, FRAGMENT_NODE);
  if (node != LOCAL_NODE) {
    if (!isNodeKnown(node)) return countEgressDrop(DropReason.noNode, 1);
    if (packet.length > pathMtu(node) && !forgetsMtu(node, nowMs)) {
      if (!isCuttable) return countEgressDrop(DropReason.tooBig, 1); // the sender learnt it by the first one
      return fragmentPacket(node, pathMtu(node), Counter.egressPackets, Counter.egressBytes);
    }
    sendToNode(node, packet.at, packet.length, 0, 0);
    count(Counter.egressPackets, 1);
    count(Counter.egressBytes, packet.length);
    return;
  }
  closeMessage(); // as above
  finishFrame();
  writePacket(packet.at, packet.length);
  count(isFromTun ? Counter.localPackets : Counter.ingressPackets, 1);
  count(isFromTun ? Counter.localBytes : Counter.ingressBytes, packet.length);
}

export function fragmentPacket(node: u32, mtu: u32, packetCounter: u32, byteCounter: u32): void {
  const ipLength = packet.transportAt - packet.at;
  fragment(node, mtu, packet.at, ipLength, ipLength, packet.transportAt, packet.transportLength, packet.fragmentId);
  count(packetCounter, fragmentCount);
  count(byteCounter, fragmentBytes);
  count(Counter.packetsFragmented, 1);
}
