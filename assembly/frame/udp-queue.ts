// The UDP transmit queue: messages for sendmmsg. Datagrams of one size to one node that follow each other share a
// message, which the kernel cuts up again (UDP_SEGMENT), whether they are of one flow or of several.

import {
  IOVEC_SIZE,
  LOCAL_NODE,
  MMSGHDR_CONTROL,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_FLAGS,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_LENGTH,
  MMSGHDR_NAME,
  MMSGHDR_NAME_LENGTH,
  MMSGHDR_SIZE,
  SOCKADDR_SIZE,
  UDP_RETRY_MAX,
  UDP_TX_CONTROL_SIZE,
  WORKER_UDP_RETRY,
  WORKER_UDP_TX,
  WORKER_UDP_TX_CONTROLS,
  WORKER_UDP_TX_COUNT,
} from "../shared/layout.ts";
import { SOL_UDP, UDP_PAYLOAD_MAX, UDP_SEGMENT, UDP_SEGMENTS_MAX } from "../shared/protocols.ts";
import { endpointAt, takesGso } from "../table/node.ts";
import { workerAt } from "../table/regions.ts";
import { native, nextIovecAt, pushIovec } from "./arena.ts";

// struct cmsghdr of 64-bit Linux: 8 bytes length, 4 level, 4 type, then the data, here the u16 segment size.
const CMSG_LENGTH: u64 = 18; // CMSG_LEN(sizeof(u16))
const CMSG_SPACE: u64 = 24; // CMSG_SPACE(sizeof(u16))

// The message that may still grow: the last one, as long as it is open.
let openNode: u32 = 0; // LOCAL_NODE: nothing goes there by UDP, so it says that none is open
let openSegmentSize: u32 = 0;
let openSegments: u32 = 0;
let openBytes: u32 = 0;
let openAt: usize = 0; // its mmsghdr
let openTakesGso: bool = false;

/** To be called when the queue was emptied. */
export function closeMessage(): void {
  openNode = LOCAL_NODE;
}

/** Queues one datagram to a node: `headLength` bytes at `head`, then `bodyLength` bytes at `body` (may be none). */
export function sendToNode(node: u32, head: usize, headLength: u32, body: usize, bodyLength: u32): void {
  const length = headLength + bodyLength;
  const fits =
    node == openNode &&
    length <= openSegmentSize &&
    openSegments < <u32>UDP_SEGMENTS_MAX &&
    openBytes + length <= <u32>UDP_PAYLOAD_MAX;
  if (!fits) openMessage(node, length);
  pushIovec(head, headLength);
  if (bodyLength != 0) pushIovec(body, bodyLength);
  const iovecs = load<u64>(openAt, MMSGHDR_IOV_COUNT) + (bodyLength != 0 ? 2 : 1);
  store<u64>(openAt, iovecs, MMSGHDR_IOV_COUNT);
  openSegments++;
  openBytes += length;
  store<u32>(openAt, openSegments, MMSGHDR_LENGTH);
  if (openSegments == 2) store<u64>(openAt, CMSG_SPACE, MMSGHDR_CONTROL_LENGTH);
  // Only the last segment of a message may be shorter (linux/udp.h, UDP_SEGMENT).
  if (length < openSegmentSize || !openTakesGso) closeMessage();
}

/** Queues one datagram back to the sockaddr at `name`. */
export function sendToSender(name: usize, at: usize, length: u32): void {
  const message = pushMessage(name, length);
  pushIovec(at, length);
  store<u64>(message, 1, MMSGHDR_IOV_COUNT);
  store<u32>(message, 1, MMSGHDR_LENGTH);
  closeMessage();
}

/** Prepares the segments of a message as messages of their own; returns how many, 0 if it was one already. */
export function splitMessage(index: u32): u32 {
  const message = messageAt(index);
  if (load<u64>(message, MMSGHDR_CONTROL_LENGTH) == 0) return 0;
  const segmentSize: u32 = load<u16>(controlAt(index), 16);
  let iovec = <usize>(load<u64>(message, MMSGHDR_IOV) - native(0));
  const iovecsEnd = iovec + <usize>load<u64>(message, MMSGHDR_IOV_COUNT) * IOVEC_SIZE;
  let retries: u32 = 0;
  while (iovec < iovecsEnd && retries < <u32>UDP_RETRY_MAX) {
    const retry = workerAt + WORKER_UDP_RETRY + <usize>retries * MMSGHDR_SIZE;
    memory.copy(retry, message, MMSGHDR_SIZE);
    store<u64>(retry, native(iovec), MMSGHDR_IOV);
    let bytes: u32 = 0;
    let iovecs: u64 = 0;
    while (iovec < iovecsEnd && bytes < segmentSize) {
      bytes += load<u32>(iovec, 8);
      iovec += IOVEC_SIZE;
      iovecs++;
    }
    store<u64>(retry, iovecs, MMSGHDR_IOV_COUNT);
    store<u64>(retry, 0, MMSGHDR_CONTROL);
    store<u64>(retry, 0, MMSGHDR_CONTROL_LENGTH);
    store<u32>(retry, 1, MMSGHDR_LENGTH);
    retries++;
  }
  return retries;
}

/** Address of the sockaddr that a message goes to. */
export function destinationOf(index: u32): usize {
  return <usize>(load<u64>(messageAt(index), MMSGHDR_NAME) - native(0));
}

function openMessage(node: u32, segmentSize: u32): void {
  openAt = pushMessage(endpointAt(node), segmentSize);
  openTakesGso = takesGso(node, segmentSize);
  openNode = node;
  openSegmentSize = segmentSize;
  openSegments = 0;
  openBytes = 0;
}

function pushMessage(name: usize, segmentSize: u32): usize {
  const index = load<u32>(workerAt, WORKER_UDP_TX_COUNT);
  store<u32>(workerAt, index + 1, WORKER_UDP_TX_COUNT);
  const control = controlAt(index);
  store<u64>(control, CMSG_LENGTH);
  store<u32>(control, SOL_UDP, 8);
  store<u32>(control, UDP_SEGMENT, 12);
  store<u16>(control, <u16>segmentSize, 16);
  const message = messageAt(index);
  store<u64>(message, native(name), MMSGHDR_NAME);
  store<u32>(message, SOCKADDR_SIZE, MMSGHDR_NAME_LENGTH);
  store<u64>(message, native(nextIovecAt()), MMSGHDR_IOV);
  store<u64>(message, 0, MMSGHDR_IOV_COUNT);
  store<u64>(message, native(control), MMSGHDR_CONTROL);
  store<u64>(message, 0, MMSGHDR_CONTROL_LENGTH); // a single datagram needs no UDP_SEGMENT
  store<u32>(message, 0, MMSGHDR_FLAGS);
  return message;
}

function messageAt(index: u32): usize {
  return workerAt + WORKER_UDP_TX + <usize>index * MMSGHDR_SIZE;
}

function controlAt(index: u32): usize {
  return workerAt + WORKER_UDP_TX_CONTROLS + <usize>index * UDP_TX_CONTROL_SIZE;
}
