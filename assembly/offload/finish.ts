// Finishes checksums whose field holds no more than a pseudo-header sum.

import { pseudoHeaderSum } from "../checksum/pseudo-header.ts";
import { fold, orOnes, sum } from "../checksum/sum.ts";
import { sumTransport } from "../queue/parts.ts";
import * as Protocol from "../shared/protocol.ts";
import { Packet } from "../wire/packet.ts";
import { TCP_CHECKSUM } from "../wire/tcp.ts";
import { UDP_CHECKSUM } from "../wire/udp.ts";

/** Of a packet inside the received one: over all that comes from `start` on, in the field at this offset of it. */
export function finishInnerChecksum(packet: Packet, start: u32, offset: u32): void {
  store<u16>(start + offset, orOnes(<u16>~fold(sum(start, packet.end - start))));
}

/** Of a TCP or UDP packet. */
export function finishChecksum(packet: Packet): void {
  const field = checksumAt(packet.transportAt, packet.protocol);
  store<u16>(field, 0);
  storeChecksum(field, sumCovered(packet), packet.protocol);
}

/** Over all that the checksum of a TCP or UDP packet covers, itself included. */
export function sumCovered(packet: Packet): u64 {
  const length = packet.transportLength;
  return pseudoHeaderSum(packet.source, packet.destination, packet.protocol, length) + sumTransport(packet);
}

export function checksumAt(transportAt: usize, protocol: u8): usize {
  return transportAt + (protocol == Protocol.UDP ? UDP_CHECKSUM : TCP_CHECKSUM);
}

/** Stores the checksum that goes with a sum. */
export function storeChecksum(field: usize, total: u64, protocol: u8): void {
  const checksum = <u16>~fold(total);
  store<u16>(field, protocol == Protocol.UDP ? orOnes(checksum) : checksum);
}
