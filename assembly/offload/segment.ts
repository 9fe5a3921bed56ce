// Segmentation (GSO): one super-packet becomes many packets, each with headers of its own and a part of the payload,
// which stays where it is.

import { countPackets } from "../area/count.ts";
import { lengthSum, pseudoHeaderSum } from "../checksum/pseudo-header.ts";
import { fold, sum } from "../checksum/sum.ts";
import { HEADER_MAX, SEGMENTS_MAX, takeHeader } from "../queue/arena.ts";
import { Counter } from "../shared/counters.ts";
import * as Protocol from "../shared/protocol.ts";
import * as Virtio from "../shared/virtio.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";
import { TCP_CWR, TCP_FIN, TCP_PSH, Tcp } from "../wire/tcp.ts";
import { Udp } from "../wire/udp.ts";
import { checksumAt, storeChecksum } from "./finish.ts";
import { fragment, queueParts } from "./fragment.ts";

/** Packets that a super-packet with this segment size becomes. A super-packet without payload is one packet. */
export function segmentCount(packet: Packet, segmentSize: u32): u32 {
  const payload = packet.payloadLength;
  return payload == 0 ? 1 : (payload + segmentSize - 1) / segmentSize;
}

/** Whether the transmit queues are made for that many segments, and for headers that long. */
export function isSegmentable(packet: Packet, segmentSize: u32): bool {
  return segmentCount(packet, segmentSize) <= SEGMENTS_MAX && packet.headerLength <= HEADER_MAX;
}

/**
 * Queues the segments of a translated super-packet to a node, or for NodeLayout.LOCAL to the TUN, those of more than
 * `mtu` bytes in fragments; 0 = no limit. They are counted by `counter` (countPackets()). The packet may then describe
 * the last of them.
 */
export function segment(packet: Packet, segmentSize: u32, node: u32, mtu: u32, counter: Counter): void {
  const segments = segmentCount(packet, segmentSize);
  const headerLength = packet.headerLength;
  const transportOffset = packet.transportAt - packet.at;
  const pseudo = pseudoHeaderSum(packet.source, packet.destination, packet.protocol, 0);
  const headers = packet.at;
  const end = packet.end;
  let payload = packet.payloadAt;
  let bytes: u32 = 0;
  let packets: u32 = 0;
  for (let i: u32 = 0; i < segments; i++) {
    const payloadLength = min<u32>(segmentSize, end - payload);
    const header = takeHeader(Virtio.SIZE + headerLength) + Virtio.SIZE;
    memory.copy(header, headers, headerLength);
    const transport = header + transportOffset;
    const transportLength = headerLength - transportOffset + payloadLength;
    finishIpHeader(packet, header, headerLength + payloadLength, i);
    if (packet.protocol == Protocol.TCP) finishTcpHeader(transport, i * segmentSize, i == 0, i == segments - 1);
    else Udp.at(transport).length = transportLength;
    const field = checksumAt(transport, packet.protocol);
    store<u16>(field, 0);
    const total =
      pseudo +
      lengthSum(transportLength) +
      sum(transport, headerLength - transportOffset) +
      sum(payload, payloadLength);
    storeChecksum(field, total, packet.protocol);
    if (mtu != 0 && headerLength + payloadLength > mtu) {
      packet.moveTo(<u32>header, payload, payloadLength);
      fragment(packet, node, mtu, counter);
      packet.fragmentId++;
    } else {
      queueParts(node, header, headerLength, payload, payloadLength);
      packets++;
      bytes += headerLength + payloadLength;
    }
    payload += payloadLength;
  }
  countPackets(counter, packets, bytes);
}

function finishIpHeader(packet: Packet, header: usize, length: u32, index: u32): void {
  if (!packet.isIpv4) {
    Ipv6.at(header).payloadLength = length - IPV6_HEADER;
    return;
  }
  const ip = Ipv4.at(header);
  ip.totalLength = length;
  ip.identification = ip.identification + index;
  ip.checksum = 0;
  ip.checksum = <u16>~fold(sum(header, packet.transportAt - packet.at));
}

/** FIN and PSH belong to the last byte, CWR to the first segment (RFC 3168 section 6.1.2). */
function finishTcpHeader(transport: usize, offset: u32, isFirst: bool, isLast: bool): void {
  const tcp = Tcp.at(transport);
  tcp.sequence = tcp.sequence + offset;
  if (!isLast) tcp.flags = tcp.flags & <u8>~(TCP_FIN | TCP_PSH);
  if (!isFirst) tcp.flags = tcp.flags & <u8>~TCP_CWR;
}
