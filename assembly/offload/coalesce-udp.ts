// What lets two UDP datagrams join.

import { Packet } from "../wire/packet.ts";
import { Udp } from "../wire/udp.ts";

/** Segmentation gives every datagram a checksum and no options (RFC 9868), so that others must stay by themselves. */
export function canJoinUdp(packet: Packet): bool {
  const udp = Udp.at(packet.transportAt);
  return udp.checksum != 0 && udp.length == packet.transportLength;
}

export function canFollowUdp(packet: Packet, head: usize): bool {
  return load<u32>(head) == packet.ports;
}

/** Completes the header of the joined datagrams; the checksum field takes the pseudo-header sum. */
export function finishUdp(head: usize, length: u32, pseudoSum: u16): void {
  const udp = Udp.at(head);
  udp.length = length;
  udp.checksum = pseudoSum;
}
