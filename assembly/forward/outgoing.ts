// From the TUN: the steps by which a workload's frame is handled.

import { answerDrop } from "../answer/icmp-error.ts";
import { countPackets } from "../area/count.ts";
import { note } from "../area/verdict-notes.ts";
import { workloadOwner } from "../ask/owner.ts";
import { isDenied, park } from "../ask/park.ts";
import { endDenied, noteFrame, translateEgress } from "../nat/egress.ts";
import { translateLocal } from "../nat/ingress.ts";
import { translateErrorEgress, translateErrorLocal } from "../nat/related.ts";
import { finishChecksum, finishInnerChecksum } from "../offload/finish.ts";
import { FRAGMENT_MIN, fragment, piecesMax } from "../offload/fragment.ts";
import { isSegmentable, segment, segmentCount } from "../offload/segment.ts";
import { SEGMENTS_MAX } from "../queue/arena.ts";
import { frameAt } from "../queue/received.ts";
import { writeFrame } from "../queue/tun.ts";
import { sendPacket } from "../queue/udp.ts";
import { Flow } from "../record/flow.ts";
import { Counter } from "../shared/counters.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as Protocol from "../shared/protocol.ts";
import { DropReason } from "../shared/verdicts.ts";
import * as Virtio from "../shared/virtio.ts";
import { FORWARD } from "../table/bucket.ts";
import { describeFragment } from "../table/first-fragment.ts";
import { touchBucket, touchFlow } from "../table/prefetch.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";
import { PacketKind } from "../wire/packet.ts";
import { VirtioNet } from "../wire/virtio-net.ts";
import { firstFragment, laterFragmentOut } from "./fragments.ts";
import { packet, passage } from "./packet-in-hand.ts";

/** Set when egressPacket() parked the packet. */
let isWaiting: bool = false;

/** A frame becomes at most this number of packets; one that would become more is dropped. */
export function framePackets(at: usize, length: u32): u32 {
  const virtio = VirtioNet.at(at);
  const isSuper = virtio.isGso && virtio.gsoSize != 0;
  if (length < FRAGMENT_MIN && !isSuper) return 1;
  const fragments = piecesMax(length);
  if (!isSuper) return fragments;
  const segments = length / virtio.gsoSize + 1;
  return min<u32>(virtio.gsoSize < FRAGMENT_MIN ? segments : 2 * segments + fragments, SEGMENTS_MAX);
}

export function prefetchFrames(first: u32, end: u32): void {
  for (let slot = first; slot < end; slot++) touchBucket(slot, frameAt(slot) + Virtio.SIZE);
  for (let slot = first; slot < end; slot++) touchFlow(slot, FORWARD);
}

export function egressFrame(at: usize, length: u32, nowMs: u32): DropReason {
  if (length < <u32>Virtio.SIZE) return DropReason.truncatedFrame;
  const virtio = VirtioNet.at(at);
  const invalid = packet.parse(<u32>at + Virtio.SIZE, length - Virtio.SIZE);
  if (invalid != DropReason.none) return invalid;
  if (!virtio.isEmpty) {
    const refused = checkOffload(virtio);
    if (refused != DropReason.none) return refused;
  }
  return packet.isPlain ? egressPacket(virtio, nowMs) : egressOther(virtio, nowMs);
}

/** Notes what egressFrame() returned. */
export function noteFrameVerdict(at: usize, length: u32, reason: DropReason): void {
  const inFront = min<u32>(Virtio.SIZE, length);
  note(at + inFront, length - inFront, reason, passage.flow);
}

/**
 * Whether the virtio_net_hdr says what is true of the packet. A checksum of a packet inside is finished at once: it
 * belongs to what is payload here, and a checksum around it already counts on it.
 */
function checkOffload(virtio: VirtioNet): DropReason {
  if (virtio.needsChecksum && !virtio.isOwnChecksum(packet)) {
    if (virtio.isGso || !virtio.isInnerChecksum(packet)) return DropReason.badOffload;
    finishInnerChecksum(packet, packet.at + virtio.csumStart, virtio.csumOffset);
    virtio.clear();
    return packet.parse(packet.at, packet.length); // it may lie among what was parsed
  }
  if (!virtio.agrees(packet)) return DropReason.badOffload;
  return virtio.isGso && !isSegmentable(packet, virtio.gsoSize) ? DropReason.badOffload : DropReason.none;
}

/** What is no whole TCP or UDP packet. */
function egressOther(virtio: VirtioNet, nowMs: u32): DropReason {
  if (packet.kind == PacketKind.laterFragment) return laterFragmentOut(nowMs);
  if (packet.kind == PacketKind.error) return egressError(nowMs);
  const isFirst = packet.isFragment && packet.fragmentOffset == 0;
  if (isFirst) describeFragment(packet, NodeLayout.LOCAL);
  const owner = isFirst ? workloadOwner(packet) : 0;
  isWaiting = false;
  const refused = egressPacket(virtio, nowMs);
  if (!isFirst || refused != DropReason.none || isWaiting) return refused;
  firstFragment(owner, <u32>Flow.at(passage.flow).node, 0, nowMs);
  return DropReason.none;
}

function egressPacket(virtio: VirtioNet, nowMs: u32): DropReason {
  const isPartial = virtio.needsChecksum;
  const payloadSize = virtio.isGso ? <u32>virtio.gsoSize : 0;
  const packets = payloadSize == 0 ? 1 : segmentCount(packet, payloadSize);
  let refused = translateEgress(packet, passage, packets, payloadSize, isPartial, nowMs);
  if (refused == DropReason.unknownAddress) {
    refused = park(packet, nowMs);
    isWaiting = refused == DropReason.none;
    if (isWaiting) return refused;
    if (refused == DropReason.unknownAddress && isDenied(packet.destinationAt, nowMs)) refused = endDenied(packet);
  }
  if (refused != DropReason.none) {
    answerDrop(packet, refused, passage.fittingMtu, nowMs);
    return refused;
  }
  const node = <u32>Flow.at(passage.flow).node;
  if (node == NodeLayout.LOCAL) {
    if (!passage.isUnusual) noteFrame(packet, passage, payloadSize);
    return deliverLocally(packets, isPartial, nowMs);
  }
  if (passage.isUnusual) {
    sendUnusual(node, passage.fittingMtu, isPartial);
    return DropReason.none;
  }
  if (payloadSize != 0) {
    segment(packet, payloadSize, node, 0, Counter.egressPackets);
    return DropReason.none;
  }
  if (isPartial) finishChecksum(packet);
  sendPacket(node, packet);
  countPackets(Counter.egressPackets, 1, packet.length);
  return DropReason.none;
}

function egressError(nowMs: u32): DropReason {
  if (packet.isFragment) describeFragment(packet, NodeLayout.LOCAL);
  const owner = packet.isFragment ? workloadOwner(packet) : 0;
  noteFrame(packet, passage, 0);
  const refused = translateErrorEgress(packet, passage);
  if (refused != DropReason.none) return refused;
  if (passage.errorNode == NodeLayout.LOCAL) {
    const undelivered = translateErrorLocal(packet, nowMs);
    if (undelivered != DropReason.none) return undelivered;
    writePlain();
    countPackets(Counter.localPackets, 1, packet.length);
  } else {
    sendPacket(passage.errorNode, packet);
    countPackets(Counter.egressPackets, 1, packet.length);
  }
  if (packet.isFragment) firstFragment(owner, passage.errorNode, 0, nowMs);
  return DropReason.none;
}

/** Back into the TUN behind the virtio_net_hdr that it came with; one of the other family says nothing. */
function writePlain(): void {
  const at = packet.at - Virtio.SIZE;
  const isSame = packet.isIpv4 == passage.wasIpv4;
  store<u64>(at, isSame ? passage.offload : 0);
  store<u16>(at, isSame ? passage.checksumOffset : 0, 8);
  writeFrame(packet, 1);
}

/**
 * A packet whose size or family is not what it was, as noteFrame() and fitToPath() say, in packets of at most `mtu`
 * bytes; 0 = no limit, which the TUN always has here.
 */
function sendUnusual(node: u32, mtu: u32, isPartial: bool): void {
  const counter = node == NodeLayout.LOCAL ? Counter.localPackets : Counter.egressPackets;
  if (passage.segmentSize != 0) return segment(packet, passage.segmentSize, node, mtu, counter);
  if (isPartial) finishChecksum(packet);
  if (mtu != 0) return fragment(packet, node, mtu, counter);
  sendPacket(node, packet);
  countPackets(counter, 1, packet.length);
}

/** Back into the TUN, as the workload's offloads left the frame. */
function deliverLocally(packets: u32, isPartial: bool, nowMs: u32): DropReason {
  const refused = translateLocal(packet, packets, passage.segmentSize, isPartial, nowMs);
  if (refused != DropReason.none) return refused;
  let size = passage.segmentSize;
  const longest = size == 0 ? packet.length : packet.headerLength + size;
  if (passage.wasIpv4 && !packet.isIpv4 && passage.mayCut && longest > IPV6_MTU_MIN) {
    if (size == 0 || packet.protocol != Protocol.TCP) {
      sendUnusual(NodeLayout.LOCAL, IPV6_MTU_MIN, isPartial);
      return DropReason.none;
    }
    size -= longest - IPV6_MTU_MIN;
  }
  const at = packet.at - Virtio.SIZE;
  store<u64>(at, passage.offload);
  const virtio = VirtioNet.at(at);
  virtio.csumOffset = passage.checksumOffset;
  if (packet.isIpv4 != passage.wasIpv4) virtio.changeFamily(packet, passage.checksumStart, size);
  const segments = size == 0 ? 1 : segmentCount(packet, size);
  writeFrame(packet, segments);
  // Each segment repeats the headers.
  countPackets(Counter.localPackets, segments, packet.length + (segments - 1) * packet.headerLength);
  return DropReason.none;
}
