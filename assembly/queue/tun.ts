// The TUN transmit queue: one entry per frame, for writev.

import { workerAt } from "../area/regions.ts";
import { TunWrite, WorkerArea } from "../record/worker.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import * as Virtio from "../shared/virtio.ts";
import { Packet } from "../wire/packet.ts";
import { native, nextIovecAt, pushIovec, takeHeader } from "./arena.ts";
import { pushPacket, pushParts, pushPayload, pushStart } from "./parts.ts";

/** Queues a packet, or a super-packet of `packets`, with the virtio_net_hdr that is in front of its headers. */
export function writeFrame(packet: Packet, packets: u32): void {
  const entry = pushEntry(packets);
  TunWrite.at(entry).iovCount = pushPacket(packet, Virtio.SIZE);
}

/** Queues a packet with an empty virtio_net_hdr, which says "no offloads"; returns the address of that. */
export function writePacket(packet: Packet): usize {
  if (packet.isSplit) {
    // Generated headers have room for it in front.
    const header = packet.at - Virtio.SIZE;
    clearVirtio(header);
    writeFrame(packet, 1);
    return header;
  }
  const header = takeHeader(Virtio.SIZE);
  clearVirtio(header);
  const entry = pushEntry(1);
  pushIovec(header, Virtio.SIZE);
  TunWrite.at(entry).iovCount = 1 + pushPacket(packet, 0);
  return header;
}

/**
 * Queues a packet in two parts: a generated one of `headLength` bytes, which begins with room for the virtio_net_hdr,
 * and `bodyLength` bytes at `body`.
 */
export function writeParts(head: usize, headLength: u32, body: usize, bodyLength: u32): void {
  clearVirtio(head);
  const entry = pushEntry(1);
  TunWrite.at(entry).iovCount = pushParts(head, headLength, body, bodyLength);
}

/** The same with the first `length` bytes of a packet behind the generated part. */
export function writeQuote(head: usize, headLength: u32, packet: Packet, length: u32): void {
  clearVirtio(head);
  const entry = pushEntry(1);
  pushIovec(head, headLength);
  TunWrite.at(entry).iovCount = 1 + pushStart(packet, 0, length);
}

/** Lets the frame that was queued last go on with the payload of another packet. */
export function extendFrame(packet: Packet): void {
  const entry = entryAt(WorkerArea.at(workerAt).tunTxCount - 1);
  TunWrite.at(entry).iovCount = TunWrite.at(entry).iovCount + 1;
  TunWrite.at(entry).packets = TunWrite.at(entry).packets + 1;
  pushPayload(packet);
}

function clearVirtio(at: usize): void {
  store<u64>(at, 0);
  store<u16>(at, 0, 8);
}

/** An entry for the iovecs that come next, whose number the caller stores. */
function pushEntry(packets: u32): usize {
  const index = WorkerArea.at(workerAt).tunTxCount;
  WorkerArea.at(workerAt).tunTxCount = index + 1;
  const entry = entryAt(index);
  TunWrite.at(entry).iov = native(nextIovecAt());
  TunWrite.at(entry).packets = packets;
  return entry;
}

function entryAt(index: u32): usize {
  return workerAt + WorkerLayout.TUN_TX + <usize>index * WorkerLayout.TUN_TX_SIZE;
}
