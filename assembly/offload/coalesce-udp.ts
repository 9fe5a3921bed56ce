// What lets two UDP datagrams join.

import { Packet } from "../wire/packet.ts";
import { Udp } from "../wire/udp.ts";

/** Segmentation gives every datagram a checksum, so one without must stay by itself. */
export function canJoinUdp(packet: Packet): bool {
  return Udp.at(packet.transportAt).checksum != 0;
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
