// The TUN transmit queue: one entry per frame, for writev.

import {
  TUN_TX_IOV,
  TUN_TX_IOV_COUNT,
  TUN_TX_PACKETS,
  TUN_TX_SIZE,
  WORKER_TUN_TX,
  WORKER_TUN_TX_COUNT,
} from "../shared/layout.ts";
import { VIRTIO_NET_HDR_SIZE } from "../shared/protocols.ts";
import { workerAt } from "../table/regions.ts";
import { native, nextIovecAt, pushIovec, takeHeader } from "./arena.ts";

/** Queues a frame that stands in memory as it is to be written, virtio_net_hdr first. */
export function writeFrame(at: usize, length: u32, packets: u32): void {
  push(1, packets);
  pushIovec(at, length);
}

/** Queues a packet behind an empty virtio_net_hdr, which says "no offloads"; returns where that stands. */
export function writePacket(at: usize, length: u32): usize {
  const header = takeHeader(VIRTIO_NET_HDR_SIZE);
  writeParts(header, VIRTIO_NET_HDR_SIZE, at, length);
  return header;
}

/**
 * Queues a packet in two parts: a generated one of `headLength` bytes, in which room for the virtio_net_hdr comes first,
 * and `bodyLength` bytes at `body`.
 */
export function writeParts(head: usize, headLength: u32, body: usize, bodyLength: u32): void {
  store<u64>(head, 0);
  store<u16>(head, 0, 8);
  push(bodyLength == 0 ? 1 : 2, 1);
  pushIovec(head, headLength);
  if (bodyLength != 0) pushIovec(body, bodyLength);
}

/** Lets the frame that was queued last go on with the `length` bytes at `at`, of another packet. */
export function extendFrame(at: usize, length: u32): void {
  const entry = entryAt(load<u32>(workerAt, WORKER_TUN_TX_COUNT) - 1);
  store<u32>(entry, load<u32>(entry, TUN_TX_IOV_COUNT) + 1, TUN_TX_IOV_COUNT);
  store<u32>(entry, load<u32>(entry, TUN_TX_PACKETS) + 1, TUN_TX_PACKETS);
  pushIovec(at, length);
}

function push(iovecs: u32, packets: u32): void {
  const index = load<u32>(workerAt, WORKER_TUN_TX_COUNT);
  store<u32>(workerAt, index + 1, WORKER_TUN_TX_COUNT);
  const entry = entryAt(index);
  store<u64>(entry, native(nextIovecAt()), TUN_TX_IOV);
  store<u32>(entry, iovecs, TUN_TX_IOV_COUNT);
  store<u32>(entry, packets, TUN_TX_PACKETS);
}

function entryAt(index: u32): usize {
  return workerAt + WORKER_TUN_TX + <usize>index * TUN_TX_SIZE;
}
