// Where the bytes of the packet in hand are: its headers, and its payload. A packet that changed its family may have
// its headers among the generated ones (arena.ts) while its payload is still where it was received. So a packet is no
// range of memory. Whatever sends, sums or copies a packet does it by these functions.

import { sum } from "../checksum/sum.ts";
import { Packet } from "../wire/packet.ts";
import { pushIovec } from "./arena.ts";

/**
 * Appends iovecs over the packet, with the `inFront` bytes in front of its headers; returns how many iovecs it took.
 */
export function pushPacket(packet: Packet, inFront: u32): u32 {
  return pushStart(packet, inFront, packet.length);
}

/** The same for the first `length` bytes of the packet. */
export function pushStart(packet: Packet, inFront: u32, length: u32): u32 {
  const at = packet.at - inFront;
  if (!packet.isSplit) return pushParts(at, inFront + length, 0, 0);
  const head = min(length, packet.headerLength);
  return pushParts(at, inFront + head, packet.payloadAt, length - head);
}

/** Appends one iovec over the packet's payload. */
export function pushPayload(packet: Packet): void {
  pushIovec(packet.payloadAt, packet.payloadLength);
}

/** Appends iovecs over `headLength` bytes at `head` and `bodyLength` bytes at `body`; returns how many it took. */
export function pushParts(head: usize, headLength: u32, body: usize, bodyLength: u32): u32 {
  pushIovec(head, headLength);
  if (bodyLength == 0) return 1;
  pushIovec(body, bodyLength);
  return 2;
}

/** Sum of the first `length` bytes of the packet, of which those of its headers are even in number. */
export function sumStart(packet: Packet, length: u32): u64 {
  if (!packet.isSplit) return sum(packet.at, length);
  const head = min(length, packet.headerLength);
  return sum(packet.at, head) + sum(packet.payloadAt, length - head);
}

/** Sum of the packet's transport header and payload. */
export function sumTransport(packet: Packet): u64 {
  const length = packet.transportLength;
  if (!packet.isSplit) return sum(packet.transportAt, length);
  const payloadLength = packet.payloadLength;
  return sum(packet.transportAt, length - payloadLength) + sum(packet.payloadAt, payloadLength);
}

/** Copies the packet, with the `inFront` bytes in front of its headers, to `to`. */
export function copyPacket(packet: Packet, inFront: u32, to: usize): void {
  const head = inFront + (packet.isSplit ? packet.headerLength : packet.length);
  memory.copy(to, packet.at - inFront, head);
  if (packet.isSplit) memory.copy(to + head, packet.payloadAt, packet.payloadLength);
}
