// Entry of the engine module: everything that is done per packet. Exports as src/dataplane/engine-contract.ts says.
// Allocates nothing and keeps no state outside the shared memory that another call or another engine would miss.

import { emptyQueues, hasRoom, SEGMENTS_MAX } from "./frame/arena.ts";
import { count, countEgressDrop, countIngressDrop } from "./frame/count.ts";
import {
  FRAGMENTS,
  firstWaiting,
  freeReleased,
  PARKED,
  release,
  waitingAt,
  waitingCount,
  waitingRecord,
} from "./frame/hold.ts";
import {
  datagramSize,
  datagramsAt,
  datagramsLength,
  frameAt,
  frameLength,
  isTruncated,
  prepareReceive,
  senderAt,
} from "./frame/received.ts";
import { writeFrame, writePacket } from "./frame/tun-queue.ts";
import { closeMessage, destinationOf, sendToNode, splitMessage } from "./frame/udp-queue.ts";
import { deliver, finishFrame } from "./offload/coalesce.ts";
import { finishChecksum } from "./offload/finish.ts";
import { FRAGMENT_MIN, fragment, fragmentBytes, fragmentCount } from "./offload/fragment.ts";
import { isSegmentable, segment, segmentCount, segmentedPackets } from "./offload/segment.ts";
import { Counter } from "./shared/counters.ts";
import {
  BATCH_SIZE,
  FLOW_NODE,
  FRAGMENT_NODE,
  FRAGMENT_SENDER,
  HEADER_AT,
  HEADER_NODE_COUNT,
  HELD_DESTINATION,
  HELD_LENGTH,
  HELD_NEXT,
  LAYOUT_VERSION,
  LOCAL_NODE,
  WORKER_ERROR_NAME,
  WORKER_SCRATCH,
} from "./shared/layout.ts";
import { VIRTIO_NET_HDR_SIZE } from "./shared/protocols.ts";
import { DropReason } from "./shared/verdicts.ts";
import { findService, isNoAddress } from "./table/address.ts";
import { FORWARD, REVERSE } from "./table/bucket.ts";
import { describeFragment, findFirst, noteFirst, sameFragmentKey } from "./table/first-fragment.ts";
import { sweep as sweepFlows } from "./table/flow.ts";
import { settleLimbo } from "./table/flow-record.ts";
import { enter, leave } from "./table/generation.ts";
import { endpointAt, forgetsMtu, isNodeKnown, learnMtu, learnRefusal, pathMtu, refuseGso } from "./table/node.ts";
import { isWorthwhile, touchBucket, touchFlow } from "./table/prefetch.ts";
import { attachRegions, workerAt } from "./table/regions.ts";
import {
  checksumOffset,
  checksumStart,
  egressFlow,
  fittingMtu,
  isUnusual,
  noteFrame,
  offload,
  segmentSize,
  translateEgress,
  wasIpv4,
} from "./translate/egress.ts";
import { dropOrphans, holdFragment, translateLater } from "./translate/fragments.ts";
import { answerDrop } from "./translate/icmp-error.ts";
import { translateIngress, translateLocal } from "./translate/ingress.ts";
import { isGivenUp, learnRefusals, park, setUnparking } from "./translate/park.ts";
import { isProbe, queueProbes, receiveProbe } from "./translate/probe.ts";
import { errorNode, translateErrorEgress, translateErrorIngress, translateErrorLocal } from "./translate/related.ts";
import { Ipv4 } from "./wire/ipv4.ts";
import { Packet, PacketKind } from "./wire/packet.ts";
import { VirtioNet } from "./wire/virtio-net.ts";

// errno of a send that UDP_SEGMENT made impossible (asm-generic/errno-base.h, errno.h)
const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;
// and of one that nobody took
const ECONNREFUSED = 111;
const EHOSTUNREACH = 113;

let packet: Packet = changetype<Packet>(0);
/** Set when egressPacket() parked the packet. */
let isWaiting: bool = false;
/** The message in hand: size of its datagrams, and its end; size 0 = none. */
let messageSize: u32 = 0;
let messageEnd: u32 = 0;

export function layoutVersion(): u32 {
  return LAYOUT_VERSION;
}

export function attach(worker: u32, memoryBase: u64): void {
  attachRegions(worker, memoryBase);
  packet = Packet.at(workerAt + WORKER_SCRATCH);
  prepareReceive();
}

export function egress(first: u32, end: u32, nowUs: f64): u32 {
  const nowMs = begin(nowUs);
  if (isWorthwhile()) prefetchFrames(first, end);
  let slot = first;
  for (; slot < end; slot++) {
    const at = frameAt(slot);
    const length = frameLength(slot);
    if (!hasRoom(framePackets(at, length))) break;
    const reason = egressFrame(at, length, nowMs);
    if (reason != DropReason.none) countEgressDrop(reason, 1);
  }
  leave();
  return slot;
}

export function ingress(first: u32, end: u32, nowUs: f64): u32 {
  const nowMs = begin(nowUs);
  let slot = first;
  for (; slot < end && hasRoom(messagePackets(slot)); slot++) ingressMessage(slot, nowUs, nowMs);
  messageSize = 0;
  finishFrame();
  leave();
  return slot;
}

export function probe(nowUs: f64): u32 {
  const queued = queueProbes(nowUs, begin(nowUs));
  leave();
  return queued;
}

export function sweep(nowUs: f64, budget: u32): u32 {
  enter();
  settleLimbo();
  const nowMs = milliseconds(nowUs);
  const ended = sweepFlows(nowMs, budget);
  if (waitingCount(FRAGMENTS) != 0) dropOrphans(nowMs);
  leave();
  return ended;
}

export function unpark(nowUs: f64): u32 {
  const nowMs = begin(nowUs);
  learnRefusals();
  setUnparking(true);
  const left = unparkAll(nowMs);
  setUnparking(false);
  leave();
  return left;
}

/** Handles the parked packets that need not wait any longer; returns how many of them found no room in the queues. */
function unparkAll(nowMs: u32): u32 {
  let before: u32 = 0;
  for (let number = firstWaiting(PARKED); number != 0; ) {
    const record = waitingRecord(number);
    const next = load<u32>(record, HELD_NEXT);
    const at = waitingAt(number);
    const length = load<u32>(record, HELD_LENGTH);
    const isKnown = findService(record + HELD_DESTINATION) != 0;
    if (!isKnown && !isGivenUp(record, nowMs)) {
      before = number;
    } else if (!hasRoom(framePackets(at, length))) {
      return waitingCount(PARKED);
    } else {
      release(PARKED, number, before);
      const reason = isKnown ? egressFrame(at, length, nowMs) : giveUp(at, length, nowMs);
      if (reason != DropReason.none) countEgressDrop(reason, 1);
    }
    number = next;
  }
  return 0;
}

/** Tells the client of a parked packet that there is no such address. */
function giveUp(at: usize, length: u32, nowMs: u32): DropReason {
  packet.parse(<u32>at + VIRTIO_NET_HDR_SIZE, length - VIRTIO_NET_HDR_SIZE);
  answerDrop(packet, DropReason.unknownAddress, 0, nowMs);
  return DropReason.unknownAddress;
}

export function udpRejected(message: u32, errno: u32): u32 {
  if (errno != EIO && errno != EINVAL && errno != EMSGSIZE) return 0;
  const singles = splitMessage(message);
  if (singles == 0) return 0;
  count(Counter.gsoRefused, 1);
  if (errno == EMSGSIZE) return singles; // pathError() tells the size
  const destination = destinationOf(message);
  const nodes = load<u32>(HEADER_AT, HEADER_NODE_COUNT);
  for (let node: u32 = LOCAL_NODE + 1; node < nodes; node++) {
    if (endpointAt(node) != destination) continue;
    refuseGso(node);
    break;
  }
  return singles;
}

export function pathError(errno: u32, mtu: u32, nowUs: f64): void {
  enter();
  const name = workerAt + WORKER_ERROR_NAME;
  if (errno == EMSGSIZE) learnMtu(name, mtu, milliseconds(nowUs));
  else if (errno == ECONNREFUSED || errno == EHOSTUNREACH) learnRefusal(name, milliseconds(nowUs));
  leave();
}

function begin(nowUs: f64): u32 {
  enter();
  settleLimbo();
  emptyQueues();
  closeMessage();
  freeReleased();
  const nowMs = milliseconds(nowUs);
  if (waitingCount(FRAGMENTS) != 0) dropOrphans(nowMs);
  return nowMs;
}

/** Wraps after 49 days; ages are differences, which do not mind. */
function milliseconds(nowUs: f64): u32 {
  return <u32>(<u64>(nowUs / 1000));
}

/** At most so many packets become of a frame; one that would become more is dropped. */
function framePackets(at: usize, length: u32): u32 {
  const virtio = VirtioNet.at(at);
  const isSuper = virtio.isGso && virtio.gsoSize != 0;
  if (length < FRAGMENT_MIN && !isSuper) return 1;
  const fragments = length / FRAGMENT_MIN + 1;
  if (!isSuper) return fragments;
  const segments = length / virtio.gsoSize + 1;
  return min<u32>(virtio.gsoSize < FRAGMENT_MIN ? segments : 2 * segments + fragments, SEGMENTS_MAX);
}

/** At most so many packets are in a message; one with more is dropped. */
function messagePackets(slot: u32): u32 {
  return min<u32>(datagramsLength(slot) / max<u32>(datagramSize(slot), 1) + 1, SEGMENTS_MAX);
}

function egressFrame(at: usize, length: u32, nowMs: u32): DropReason {
  if (length < <u32>VIRTIO_NET_HDR_SIZE) return DropReason.truncatedFrame;
  const virtio = VirtioNet.at(at);
  const invalid = packet.parse(<u32>at + VIRTIO_NET_HDR_SIZE, length - VIRTIO_NET_HDR_SIZE);
  if (invalid != DropReason.none) return invalid;
  if (!virtio.agrees(packet)) return DropReason.badOffload;
  if (virtio.isGso && !isSegmentable(packet, virtio.gsoSize)) return DropReason.badOffload;
  return packet.isPlain ? egressPacket(at, virtio, nowMs) : egressOther(at, virtio, nowMs);
}

/** What is no whole TCP or UDP packet. */
function egressOther(at: usize, virtio: VirtioNet, nowMs: u32): DropReason {
  if (packet.kind == PacketKind.laterFragment) return laterFragment(0, nowMs);
  if (packet.kind == PacketKind.error) return egressError(nowMs);
  const isFirst = packet.isFragment && packet.fragmentOffset == 0;
  if (isFirst) describeFragment(packet, 0);
  isWaiting = false;
  const refused = egressPacket(at, virtio, nowMs);
  if (!isFirst || refused != DropReason.none || isWaiting) return refused;
  firstFragment(<u32>load<u16>(egressFlow, FLOW_NODE), nowMs);
  return DropReason.none;
}

function egressPacket(at: usize, virtio: VirtioNet, nowMs: u32): DropReason {
  const isPartial = virtio.needsChecksum;
  const payloadSize = virtio.isGso ? <u32>virtio.gsoSize : 0;
  const packets = payloadSize == 0 ? 1 : segmentCount(packet, payloadSize);
  let refused = translateEgress(packet, packets, payloadSize, isPartial, nowMs);
  if (refused == DropReason.unknownAddress) {
    refused = park(packet, at, VIRTIO_NET_HDR_SIZE + packet.length, nowMs);
    isWaiting = refused == DropReason.none;
    if (isWaiting) return refused;
  }
  if (refused != DropReason.none) {
    answerDrop(packet, refused, fittingMtu, nowMs);
    return refused;
  }
  const node = <u32>load<u16>(egressFlow, FLOW_NODE);
  if (node == LOCAL_NODE) {
    if (!isUnusual) noteFrame(packet, payloadSize);
    return deliverLocally(packets, isPartial, nowMs);
  }
  if (isUnusual) {
    sendUnusual(node, isPartial);
    return DropReason.none;
  }
  count(Counter.egressPackets, packets);
  if (payloadSize != 0) {
    count(Counter.egressBytes, segment(packet, payloadSize, node, 0));
    return DropReason.none;
  }
  if (isPartial) finishChecksum(packet, packet.at + virtio.csumStart, virtio.csumOffset);
  sendToNode(node, packet.at, packet.length, 0, 0);
  count(Counter.egressBytes, packet.length);
  return DropReason.none;
}

function egressError(nowMs: u32): DropReason {
  if (packet.isFragment) describeFragment(packet, 0);
  noteFrame(packet, 0);
  const refused = translateErrorEgress(packet);
  if (refused != DropReason.none) return refused;
  if (errorNode == LOCAL_NODE) {
    const undelivered = translateErrorLocal(packet);
    if (undelivered != DropReason.none) return undelivered;
    closeMessage(); // its iovecs stand in a row, so nothing may join it after the packet's
    writePlain();
    count(Counter.localPackets, 1);
    count(Counter.localBytes, packet.length);
  } else {
    sendToNode(errorNode, packet.at, packet.length, 0, 0);
    count(Counter.egressPackets, 1);
    count(Counter.egressBytes, packet.length);
  }
  if (packet.isFragment) firstFragment(errorNode, nowMs);
  return DropReason.none;
}

/** What became of a first fragment becomes of the others, also of those that wait already. */
function firstFragment(node: u32, nowMs: u32): void {
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
function laterFragment(sender: usize, nowMs: u32): DropReason {
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

/** Back into the TUN behind the virtio_net_hdr that it came with; one of the other family says nothing. */
function writePlain(): void {
  const at = packet.at - VIRTIO_NET_HDR_SIZE;
  const isSame = packet.isIpv4 == wasIpv4;
  store<u64>(at, isSame ? offload : 0);
  store<u16>(at, isSame ? checksumOffset : 0, 8);
  writeFrame(at, VIRTIO_NET_HDR_SIZE + packet.length, 1);
}

/** A packet whose size or family is not what it was: noteFrame() and fitToPath() say how it is to be sent. */
function sendUnusual(node: u32, isPartial: bool): void {
  if (segmentSize != 0) {
    const bytes = segment(packet, segmentSize, node, fittingMtu);
    count(Counter.egressPackets, segmentedPackets);
    count(Counter.egressBytes, bytes);
    return;
  }
  if (isPartial) finishChecksum(packet, checksumStart, checksumOffset);
  if (fittingMtu != 0) return fragmentPacket(node, fittingMtu, Counter.egressPackets, Counter.egressBytes);
  sendToNode(node, packet.at, packet.length, 0, 0);
  count(Counter.egressPackets, 1);
  count(Counter.egressBytes, packet.length);
}

/** Back into the TUN, as the workload's offloads left the frame. */
function deliverLocally(packets: u32, isPartial: bool, nowMs: u32): DropReason {
  const refused = translateLocal(packet, packets, segmentSize, isPartial, nowMs);
  if (refused != DropReason.none) return refused;
  closeMessage(); // its iovecs stand in a row, so nothing may join it after the frame's
  if (fittingMtu != 0 && segmentSize == 0) {
    if (isPartial) finishChecksum(packet, checksumStart, checksumOffset);
    fragmentPacket(LOCAL_NODE, fittingMtu, Counter.localPackets, Counter.localBytes);
    return DropReason.none;
  }
  const at = packet.at - VIRTIO_NET_HDR_SIZE;
  store<u64>(at, offload);
  const virtio = VirtioNet.at(at);
  virtio.csumOffset = checksumOffset;
  if (packet.isIpv4 != wasIpv4) virtio.changeFamily(packet, checksumStart, segmentSize);
  const segments = segmentSize == 0 ? 1 : segmentCount(packet, segmentSize);
  writeFrame(at, VIRTIO_NET_HDR_SIZE + packet.length, segments);
  count(Counter.localPackets, segments);
  count(Counter.localBytes, packet.length + (segments - 1) * packet.headerLength); // each segment repeats the headers
  return DropReason.none;
}

function fragmentPacket(node: u32, mtu: u32, packetCounter: u32, byteCounter: u32): void {
  const ipLength = packet.transportAt - packet.at;
  fragment(node, mtu, packet.at, ipLength, ipLength, packet.transportAt, packet.transportLength, packet.fragmentId);
  count(packetCounter, fragmentCount);
  count(byteCounter, fragmentBytes);
  count(Counter.packetsFragmented, 1);
}

function ingressMessage(slot: u32, nowUs: f64, nowMs: u32): void {
  const length = datagramsLength(slot);
  if (length == 0) return countIngressDrop(DropReason.emptyDatagram, 1);
  if (isTruncated(slot)) return countIngressDrop(DropReason.truncatedFrame, 1);
  const size = datagramSize(slot);
  if (length / size >= SEGMENTS_MAX) return countIngressDrop(DropReason.badOffload, 1);
  const sender = senderAt(slot);
  if (isWorthwhile()) prefetchDatagrams(slot, length / size);
  let at = datagramsAt(slot);
  messageSize = size;
  messageEnd = <u32>at + length;
  for (let rest = length; rest != 0; ) {
    const datagram = min(size, rest);
    const reason = ingressDatagram(at, datagram, sender, nowUs, nowMs);
    if (reason != DropReason.none) countIngressDrop(reason, 1);
    at += datagram;
    rest -= datagram;
  }
}

function prefetchFrames(first: u32, end: u32): void {
  for (let slot = first; slot < end; slot++) touchBucket(slot, frameAt(slot) + VIRTIO_NET_HDR_SIZE);
  for (let slot = first; slot < end; slot++) touchFlow(slot, FORWARD);
}

function prefetchDatagrams(slot: u32, datagrams: u32): void {
  const at = datagramsAt(slot);
  const size = datagramSize(slot);
  const end = min<u32>(datagrams, BATCH_SIZE);
  for (let i: u32 = 0; i < end; i++) touchBucket(i, at + i * size);
  for (let i: u32 = 0; i < end; i++) touchFlow(i, REVERSE);
}

function ingressDatagram(at: usize, length: u32, sender: usize, nowUs: f64, nowMs: u32): DropReason {
  if (isProbe(at, length)) {
    finishFrame(); // its iovecs stand in a row, so nothing may join it after the answer's
    return receiveProbe(at, length, sender, nowUs, nowMs);
  }
  const invalid = packet.parse(<u32>at, length);
  if (invalid != DropReason.none) return invalid;
  const isPlain = packet.isPlain;
  if (!isPlain) {
    if (packet.kind == PacketKind.laterFragment) return laterFragment(sender, nowMs);
    if (packet.isFragment) describeFragment(packet, sender);
  }
  const refused =
    packet.kind == PacketKind.error ? translateErrorIngress(packet, sender) : translateIngress(packet, sender, nowMs);
  if (refused != DropReason.none) return refused;
  deliver(packet);
  count(Counter.ingressPackets, 1);
  count(Counter.ingressBytes, packet.length);
  if (!isPlain && packet.isFragment && packet.fragmentOffset == 0) firstFragment(LOCAL_NODE, nowMs);
  return DropReason.none;
}
