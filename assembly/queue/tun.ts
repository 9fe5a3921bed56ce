// The TUN transmit queue: one entry per frame, for writev.

import { workerAt } from "../area/regions.ts";
import {
  TUN_TX_IOV,
  TUN_TX_IOV_COUNT,
  TUN_TX_PACKETS,
  TUN_TX_SIZE,
  WORKER_TUN_TX,
  WORKER_TUN_TX_COUNT,
} from "../shared/layout.ts";
import { VIRTIO_NET_HDR_SIZE } from "../shared/protocols.ts";
import { Packet } from "../wire/packet.ts";
import { native, nextIovecAt, pushIovec, takeHeader } from "./arena.ts";
import { pushPacket, pushParts, pushPayload, pushStart } from "./parts.ts";

/** Queues a packet, or the super-packet of so many, with the virtio_net_hdr that is in front of its headers. */
export function writeFrame(packet: Packet, packets: u32): void {
  const entry = pushEntry(packets);
  store<u32>(entry, pushPacket(packet, VIRTIO_NET_HDR_SIZE), TUN_TX_IOV_COUNT);
}

/** Queues a packet with an empty virtio_net_hdr, which says "no offloads"; returns the address of that. */
export function writePacket(packet: Packet): usize {
  if (packet.isSplit) {
    // Generated headers have room for it in front.
    const header = packet.at - VIRTIO_NET_HDR_SIZE;
    clearVirtio(header);
    writeFrame(packet, 1);
    return header;
  }
  const header = takeHeader(VIRTIO_NET_HDR_SIZE);
  clearVirtio(header);
  const entry = pushEntry(1);
  pushIovec(header, VIRTIO_NET_HDR_SIZE);
  store<u32>(entry, 1 + pushPacket(packet, 0), TUN_TX_IOV_COUNT);
  return header;
}

/**
 * Queues a packet in two parts: a generated one of `headLength` bytes, which begins with room for the virtio_net_hdr,
 * and `bodyLength` bytes at `body`.
 */
export function writeParts(head: usize, headLength: u32, body: usize, bodyLength: u32): void {
  clearVirtio(head);
  const entry = pushEntry(1);
  store<u32>(entry, pushParts(head, headLength, body, bodyLength), TUN_TX_IOV_COUNT);
}

/** The same with the first `length` bytes of a packet behind the generated part. */
export function writeQuote(head: usize, headLength: u32, packet: Packet, length: u32): void {
  clearVirtio(head);
  const entry = pushEntry(1);
  pushIovec(head, headLength);
  store<u32>(entry, 1 + pushStart(packet, 0, length), TUN_TX_IOV_COUNT);
}

/** Lets the frame that was queued last go on with the payload of another packet. */
export function extendFrame(packet: Packet): void {
  const entry = entryAt(load<u32>(workerAt, WORKER_TUN_TX_COUNT) - 1);
  store<u32>(entry, load<u32>(entry, TUN_TX_IOV_COUNT) + 1, TUN_TX_IOV_COUNT);
  store<u32>(entry, load<u32>(entry, TUN_TX_PACKETS) + 1, TUN_TX_PACKETS);
  pushPayload(packet);
}

function clearVirtio(at: usize): void {
  store<u64>(at, 0);
  store<u16>(at, 0, 8);
}

/** An entry for the iovecs that come next, whose number the caller stores. */
function pushEntry(packets: u32): usize {
  const index = load<u32>(workerAt, WORKER_TUN_TX_COUNT);
  store<u32>(workerAt, index + 1, WORKER_TUN_TX_COUNT);
  const entry = entryAt(index);
  store<u64>(entry, native(nextIovecAt()), TUN_TX_IOV);
  store<u32>(entry, packets, TUN_TX_PACKETS);
  return entry;
}

function entryAt(index: u32): usize {
  return workerAt + WORKER_TUN_TX + <usize>index * TUN_TX_SIZE;
}
