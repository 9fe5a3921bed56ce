// Entry of the engine module: everything that is done per packet. Exports as src/dataplane/engine-contract.ts says.
// Allocates nothing and keeps no state outside the shared memory that another call or another engine would miss.

import { emptyQueues, hasRoom, SEGMENTS_MAX } from "./frame/arena.ts";
import { count, countEgressDrop, countIngressDrop } from "./frame/count.ts";
import { firstHeld, freeReleased, heldAt, heldCount, heldRecord, releaseHeld } from "./frame/hold.ts";
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
import { writeFrame } from "./frame/tun-queue.ts";
import { closeMessage, destinationOf, sendToNode, splitMessage } from "./frame/udp-queue.ts";
import { deliver, finishFrame } from "./offload/coalesce.ts";
import { finishChecksum } from "./offload/finish.ts";
import { isSegmentable, segment, segmentCount } from "./offload/segment.ts";
import { Counter } from "./shared/counters.ts";
import {
  BATCH_SIZE,
  FLOW_NODE,
  FRAGMENT_NODE,
  FRAGMENT_SENDER,
  HEADER_AT,
  HEADER_NODE_COUNT,
  HELD_LENGTH,
  HELD_NEXT,
  LAYOUT_VERSION,
  LOCAL_NODE,
  WORKER_SCRATCH,
} from "./shared/layout.ts";
import { VIRTIO_NET_HDR_SIZE } from "./shared/protocols.ts";
import { DropReason } from "./shared/verdicts.ts";
import { isNoAddress } from "./table/address.ts";
import { FORWARD, REVERSE } from "./table/bucket.ts";
import { describeFragment, findFirst, noteFirst, sameFragmentKey } from "./table/first-fragment.ts";
import { sweep as sweepFlows } from "./table/flow.ts";
import { settleLimbo } from "./table/flow-record.ts";
import { enter, leave } from "./table/generation.ts";
import { endpointAt, isNodeKnown, refuseGso } from "./table/node.ts";
import { isWorthwhile, touchBucket, touchFlow } from "./table/prefetch.ts";
import { attachRegions, workerAt } from "./table/regions.ts";
import { egressFlow, translateEgress } from "./translate/egress.ts";
import { dropOrphans, holdFragment, translateLater } from "./translate/fragments.ts";
import { translateIngress, translateLocal } from "./translate/ingress.ts";
import { isProbe, queueProbes, receiveProbe } from "./translate/probe.ts";
import { errorNode, translateErrorEgress, translateErrorIngress, translateErrorLocal } from "./translate/related.ts";
import { Packet, PacketKind } from "./wire/packet.ts";
import { VirtioNet } from "./wire/virtio-net.ts";

// errno of a send that UDP_SEGMENT made impossible (asm-generic/errno-base.h, errno.h)
const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;

let packet: Packet = changetype<Packet>(0);
/** Where the packet went that egressPacket() handled last. */
let egressNode: u32 = 0;
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
  for (; slot < end && hasRoom(framePackets(slot)); slot++) {
    const reason = egressFrame(frameAt(slot), frameLength(slot), nowMs);
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
  if (heldCount() != 0) dropOrphans(nowMs);
  leave();
  return ended;
}

export function udpRejected(message: u32, errno: u32): u32 {
  if (errno != EIO && errno != EINVAL && errno != EMSGSIZE) return 0;
  const singles = splitMessage(message);
  if (singles == 0) return 0;
  count(Counter.gsoRefused, 1);
  const destination = destinationOf(message);
  const nodes = load<u32>(HEADER_AT, HEADER_NODE_COUNT);
  for (let node: u32 = LOCAL_NODE + 1; node < nodes; node++) {
    if (endpointAt(node) != destination) continue;
    refuseGso(node);
    break;
  }
  return singles;
}

function begin(nowUs: f64): u32 {
  enter();
  settleLimbo();
  emptyQueues();
  closeMessage();
  freeReleased();
  const nowMs = milliseconds(nowUs);
  if (heldCount() != 0) dropOrphans(nowMs);
  return nowMs;
}

/** Wraps after 49 days; ages are differences, which do not mind. */
function milliseconds(nowUs: f64): u32 {
  return <u32>(<u64>(nowUs / 1000));
}

/** At most so many packets become of a frame; one that would become more is dropped. */
function framePackets(slot: u32): u32 {
  const virtio = VirtioNet.at(frameAt(slot));
  if (!virtio.isGso || virtio.gsoSize == 0) return 1;
  return min<u32>(frameLength(slot) / virtio.gsoSize + 1, SEGMENTS_MAX);
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
  if (!packet.isFragment) return egressPacket(at, virtio, nowMs);
  describeFragment(packet, 0);
  if (packet.kind == PacketKind.laterFragment) return laterFragment(nowMs);
  const refused = egressPacket(at, virtio, nowMs);
  if (refused == DropReason.none && packet.fragmentOffset == 0) firstFragment(egressNode, nowMs);
  return refused;
}

function egressPacket(at: usize, virtio: VirtioNet, nowMs: u32): DropReason {
  if (packet.kind == PacketKind.error) return egressError();
  const segments = virtio.isGso ? segmentCount(packet, virtio.gsoSize) : 1;
  const refused = translateEgress(packet, segments, virtio.needsChecksum, nowMs);
  if (refused != DropReason.none) return refused;
  const node = <u32>load<u16>(egressFlow, FLOW_NODE);
  egressNode = node;
  if (node == LOCAL_NODE) {
    translateLocal(packet, segments, virtio.needsChecksum, nowMs);
    closeMessage(); // its iovecs stand in a row, so nothing may join it after the frame's
    writeFrame(at, VIRTIO_NET_HDR_SIZE + packet.length, segments);
    count(Counter.localPackets, segments);
    count(Counter.localBytes, virtio.isGso ? bytesAsSegments(segments) : packet.length);
    return DropReason.none;
  }
  count(Counter.egressPackets, segments);
  if (virtio.isGso) {
    count(Counter.egressBytes, segment(packet, virtio.gsoSize, node));
    return DropReason.none;
  }
  if (virtio.needsChecksum) finishChecksum(packet, virtio);
  sendToNode(node, packet.at, packet.length, 0, 0);
  count(Counter.egressBytes, packet.length);
  return DropReason.none;
}

function egressError(): DropReason {
  const refused = translateErrorEgress(packet);
  if (refused != DropReason.none) return refused;
  egressNode = errorNode;
  if (errorNode == LOCAL_NODE) {
    translateErrorLocal(packet);
    closeMessage(); // as above
    writeFrame(packet.at - VIRTIO_NET_HDR_SIZE, VIRTIO_NET_HDR_SIZE + packet.length, 1);
    count(Counter.localPackets, 1);
    count(Counter.localBytes, packet.length);
    return DropReason.none;
  }
  sendToNode(errorNode, packet.at, packet.length, 0, 0);
  count(Counter.egressPackets, 1);
  count(Counter.egressBytes, packet.length);
  return DropReason.none;
}

/** What became of a first fragment becomes of the others, also of those that wait already. */
function firstFragment(node: u32, nowMs: u32): void {
  const first = noteFirst(packet, node, nowMs);
  if (heldCount() == 0) return;
  const left = messageSize == 0 ? 0 : (messageEnd - packet.at) / messageSize; // datagrams still to be handled
  let before: u32 = 0;
  for (let number = firstHeld(); number != 0; ) {
    const record = heldRecord(number);
    const next = load<u32>(record, HELD_NEXT);
    if (!sameFragmentKey(record, first)) {
      before = number;
    } else if (hasRoom(1 + left)) {
      packet.parse(<u32>heldAt(number), load<u32>(record, HELD_LENGTH));
      passOn(first);
      releaseHeld(number, before);
    } else {
      return; // the rest may be lucky with a repetition of the first
    }
    number = next;
  }
}

function laterFragment(nowMs: u32): DropReason {
  const first = findFirst(nowMs);
  if (first == 0) return holdFragment(packet, nowMs);
  passOn(first);
  return DropReason.none;
}

function passOn(first: usize): void {
  translateLater(packet, first);
  const node = load<u32>(first, FRAGMENT_NODE);
  if (node != LOCAL_NODE) {
    if (!isNodeKnown(node)) return countEgressDrop(DropReason.noNode, 1);
    sendToNode(node, packet.at, packet.length, 0, 0);
    count(Counter.egressPackets, 1);
    count(Counter.egressBytes, packet.length);
    return;
  }
  const isLocal = isNoAddress(v128.load(first, FRAGMENT_SENDER));
  closeMessage(); // as above
  deliver(packet);
  count(isLocal ? Counter.localPackets : Counter.ingressPackets, 1);
  count(isLocal ? Counter.localBytes : Counter.ingressBytes, packet.length);
}

/** Bytes of the packets that a super-packet stands for: each repeats its headers. */
function bytesAsSegments(segments: u32): u32 {
  return packet.length + (segments - 1) * (packet.payloadAt - packet.at);
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
  if (packet.isFragment) {
    describeFragment(packet, sender);
    if (packet.kind == PacketKind.laterFragment) return laterFragment(nowMs);
  }
  const refused =
    packet.kind == PacketKind.error ? translateErrorIngress(packet, sender) : translateIngress(packet, sender, nowMs);
  if (refused != DropReason.none) return refused;
  deliver(packet);
  count(Counter.ingressPackets, 1);
  count(Counter.ingressBytes, packet.length);
  if (packet.isFragment && packet.fragmentOffset == 0) firstFragment(LOCAL_NODE, nowMs);
  return DropReason.none;
}
