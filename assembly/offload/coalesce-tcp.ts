// What lets two TCP segments join.

import * as Protocol from "../shared/protocol.ts";
import { Packet } from "../wire/packet.ts";
import { TCP_ACK, TCP_MIN_HEADER, TCP_PSH, Tcp } from "../wire/tcp.ts";

/**
 * Only plain data: a segment that opens, closes, resets, is urgent or carries ECN echo means something by itself.
 * A checksum of all ones is as right as zero, but segmentation would write zero.
 */
export function canJoinTcp(packet: Packet): bool {
  return (packet.flags & ~TCP_PSH) == TCP_ACK && Tcp.at(packet.transportAt).checksum != 0xffff;
}

/** PSH asks for delivery now, and segmentation keeps it on the last segment. */
export function endsTcp(packet: Packet): bool {
  return packet.protocol == Protocol.TCP && (packet.flags & TCP_PSH) != 0;
}

/**
 * Whether the segment is what comes after the `length` payload bytes of the segments behind the header at `head`,
 * whose payload begins at `headPayload`.
 */
export function canFollowTcp(packet: Packet, head: usize, headPayload: usize, length: u32): bool {
  const first = Tcp.at(head);
  const next = Tcp.at(packet.transportAt);
  if (load<u32>(head) != packet.ports) return false;
  if (next.sequence != first.sequence + length) return false; // a gap, a repetition, or out of order
  if (next.acknowledgment != first.acknowledgment) return false;
  if (next.window != first.window || next.urgent != first.urgent) return false;
  if (next.dataOffset != first.dataOffset) return false;
  const optionsLength = <u32>(headPayload - head) - TCP_MIN_HEADER;
  return sameWords(head + TCP_MIN_HEADER, packet.transportAt + TCP_MIN_HEADER, optionsLength);
}

function sameWords(a: usize, b: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i += 4) {
    if (load<u32>(a + i) != load<u32>(b + i)) return false;
  }
  return true;
}
