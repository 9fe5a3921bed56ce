// The UDP transmit queue: messages for sendmmsg. Datagrams of one size to one node that follow each other share a
// message, which the kernel cuts up again (UDP_SEGMENT), whether they are of one flow or of several, as long as they
// are of one IP version and their outer headers have the same DSCP and ECN.

import { workerAt } from "../area/regions.ts";
import { Cmsghdr, Iovec, Mmsghdr, TOS, TRAFFIC_CLASS } from "../record/kernel.ts";
import { Endpoint } from "../record/node.ts";
import { WorkerArea } from "../record/worker.ts";
import * as KernelLayout from "../shared/layout/kernel.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import * as Sockets from "../shared/sockets.ts";
import { isV4Mapped } from "../table/address.ts";
import { copiedClass, endpointAt, fitsWhole, fixedClass, noteLength, takesGso } from "../table/node.ts";
import { Packet } from "../wire/packet.ts";
import { startMask, trafficClassAt } from "../wire/traffic-class.ts";
import { native, nextIovecAt, pushIovec } from "./arena.ts";
import { pushPacket, pushParts } from "./parts.ts";

/** A kind of control message, whose data is a u16. */
const SEGMENT: u64 = ((<u64>Sockets.UDP_SEGMENT) << 32) | Sockets.SOL_UDP;

// The message that may still grow: the last one, as long as it is open.
let openNode: u32 = 0; // NodeLayout.LOCAL: nothing goes there by UDP, so it says that none is open
// The first two bytes of its packets, as far as they must be alike: IP version, and what the outer header copies.
let openStart: u32 = 0;
let openStartMask: u32 = 0;
let openSegmentSize: u32 = 0;
let openSegments: u32 = 0;
let openBytes: u32 = 0;
let openAt: usize = 0; // its mmsghdr
let openTakesGso: bool = false;
let openEnd: usize = 0; // after its last iovec; an iovec elsewhere is not its own

/** To be called when the queue was emptied. */
export function closeMessage(): void {
  openNode = NodeLayout.LOCAL;
}

/** Queues a packet as a datagram to a node. */
export function sendPacket(node: u32, packet: Packet): void {
  startDatagram(node, packet.at, packet.length);
  finishDatagram(packet.length, pushPacket(packet, 0));
}

/**
 * Queues a packet to a node, of which `headLength` bytes were generated at `head`, from its IP header on, and
 * `bodyLength` bytes are at `body` (may be none).
 */
export function sendParts(node: u32, head: usize, headLength: u32, body: usize, bodyLength: u32): void {
  const length = headLength + bodyLength;
  startDatagram(node, head, length);
  finishDatagram(length, pushParts(head, headLength, body, bodyLength));
}

/** Finds or opens the message for a packet whose IP header is at `at`. Its iovecs come next. */
function startDatagram(node: u32, at: usize, length: u32): void {
  const fits =
    node == openNode &&
    (<u32>load<u16>(at) & openStartMask) == openStart &&
    nextIovecAt() == openEnd &&
    length <= openSegmentSize &&
    openSegments < <u32>Sockets.UDP_SEGMENTS_MAX &&
    openBytes + length <= <u32>Sockets.UDP_PAYLOAD_MAX;
  if (!fits) openMessage(node, at, length);
}

function finishDatagram(length: u32, iovecs: u32): void {
  Mmsghdr.at(openAt).iovCount = Mmsghdr.at(openAt).iovCount + iovecs;
  openEnd = nextIovecAt();
  openSegments++;
  openBytes += length;
  Mmsghdr.at(openAt).length = openSegments;
  if (openSegments == 2) {
    Mmsghdr.at(openAt).controlLength = Mmsghdr.at(openAt).controlLength + KernelLayout.CMSG_SIZE;
  }
  // Only the last segment of a message may be shorter (linux/udp.h, UDP_SEGMENT).
  if (length < openSegmentSize || !openTakesGso) closeMessage();
}

/** Queues one datagram back to the sockaddr at `name`. */
export function sendToSender(name: usize, at: usize, length: u32): void {
  const message = pushMessage(name, fixedClass(), length);
  pushIovec(at, length);
  Mmsghdr.at(message).iovCount = 1;
  Mmsghdr.at(message).length = 1;
  closeMessage();
}

/** Queues one datagram to a node by itself and never in fragments: `length` bytes at `head`, then zeros. */
export function sendProbe(node: u32, head: usize, length: u32, padding: u32): void {
  const message = pushMessage(endpointAt(node), fixedClass(), length + padding);
  pushIovec(head, length);
  if (padding != 0) pushIovec(workerAt + WorkerLayout.PADDING, padding);
  Mmsghdr.at(message).iovCount = padding == 0 ? 1 : 2;
  Mmsghdr.at(message).length = 1;
  Mmsghdr.at(message).fragments = KernelLayout.FRAGMENTS_NEVER;
  closeMessage();
}

/** Prepares the segments of a message as messages of their own; returns how many, 0 if it was one already. */
export function splitMessage(index: u32): u32 {
  const message = messageAt(index);
  if (Mmsghdr.at(message).length < 2) return 0;
  const segmentSize = Cmsghdr.at(controlAt(index) + KernelLayout.CMSG_SIZE).data;
  const controlLength = Mmsghdr.at(message).controlLength - KernelLayout.CMSG_SIZE; // that of UDP_SEGMENT is the last
  let iovec = <usize>(Mmsghdr.at(message).iov - native(0));
  const iovecsEnd = iovec + <usize>Mmsghdr.at(message).iovCount * KernelLayout.IOVEC_SIZE;
  let retries: u32 = 0;
  while (iovec < iovecsEnd && retries < <u32>WorkerLayout.UDP_RETRY_MAX) {
    const retry = workerAt + WorkerLayout.UDP_RETRY + <usize>retries * KernelLayout.MMSGHDR_SIZE;
    memory.copy(retry, message, KernelLayout.MMSGHDR_SIZE);
    Mmsghdr.at(retry).iov = native(iovec);
    let bytes: u32 = 0;
    let iovecs: u64 = 0;
    while (iovec < iovecsEnd && bytes < segmentSize) {
      bytes += <u32>Iovec.at(iovec).length;
      iovec += KernelLayout.IOVEC_SIZE;
      iovecs++;
    }
    Mmsghdr.at(retry).iovCount = iovecs;
    Mmsghdr.at(retry).controlLength = controlLength;
    Mmsghdr.at(retry).length = 1;
    retries++;
  }
  return retries;
}

/** Address of the sockaddr that a message goes to. */
export function destinationOf(index: u32): usize {
  return <usize>(Mmsghdr.at(messageAt(index)).name - native(0));
}

function openMessage(node: u32, at: usize, segmentSize: u32): void {
  const copied = copiedClass(node);
  openStartMask = startMask(at, copied);
  openStart = load<u16>(at) & openStartMask;
  openAt = pushMessage(endpointAt(node), (trafficClassAt(at) & copied) | fixedClass(), segmentSize);
  openTakesGso = fitsWhole(node, segmentSize);
  noteLength(node, segmentSize);
  if (openTakesGso) openTakesGso = takesGso(node);
  else {
    Mmsghdr.at(openAt).fragments = KernelLayout.FRAGMENTS_ALLOWED;
    WorkerArea.at(workerAt).udpTxFragmented = WorkerArea.at(workerAt).udpTxFragmented + 1;
  }
  openNode = node;
  openSegmentSize = segmentSize;
  openSegments = 0;
  openBytes = 0;
}

function pushMessage(name: usize, trafficClass: u32, segmentSize: u32): usize {
  const index = WorkerArea.at(workerAt).udpTxCount;
  WorkerArea.at(workerAt).udpTxCount = index + 1;
  const control = controlAt(index);
  Cmsghdr.at(control + KernelLayout.CMSG_SIZE).set(SEGMENT, segmentSize, sizeof<u16>());
  const message = messageAt(index);
  const ownName = workerAt + WorkerLayout.UDP_TX_NAMES + <usize>index * NodeLayout.ENDPOINT_SIZE;
  v128.store(ownName, v128.load(name));
  v128.store(ownName, v128.load(name, 16), 16);
  Mmsghdr.at(message).name = native(ownName);
  Mmsghdr.at(message).nameLength = KernelLayout.SOCKADDR_SIZE;
  Mmsghdr.at(message).iov = native(nextIovecAt());
  Mmsghdr.at(message).iovCount = 0;
  // A datagram needs no TOS of zero, and a single one no UDP_SEGMENT.
  Mmsghdr.at(message).control = native(trafficClass == 0 ? control + KernelLayout.CMSG_SIZE : control);
  Mmsghdr.at(message).controlLength = trafficClass == 0 ? 0 : KernelLayout.CMSG_SIZE;
  if (trafficClass != 0) {
    // The kernel passes over the one of the other family.
    const kind = isV4Mapped(Endpoint.at(ownName).address) ? TOS : TRAFFIC_CLASS;
    Cmsghdr.at(control).set(kind, trafficClass, sizeof<u32>());
  }
  Mmsghdr.at(message).flags = 0;
  Mmsghdr.at(message).fragments = KernelLayout.FRAGMENTS_IF_REFUSED;
  return message;
}

function messageAt(index: u32): usize {
  return workerAt + WorkerLayout.UDP_TX + <usize>index * KernelLayout.MMSGHDR_SIZE;
}

/** Two control messages: the TOS or traffic class, and behind it the segment size. */
function controlAt(index: u32): usize {
  return workerAt + WorkerLayout.UDP_TX_CONTROLS + <usize>index * WorkerLayout.UDP_TX_CONTROL_SIZE;
}
