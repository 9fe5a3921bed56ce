// Fragmentation to the path MTU of what may be fragmented on its way: IPv4 packets without DF (RFC 791 section 2.3),
// and what RFC 7915 section 4 makes of them in IPv6. The payload stays where it is, each fragment gets a header of its
// own.

import { count, countPackets } from "../area/count.ts";
import { fold, sum } from "../checksum/sum.ts";
import { takeHeader } from "../queue/arena.ts";
import { writeParts } from "../queue/tun.ts";
import { sendParts } from "../queue/udp.ts";
import { Counter } from "../shared/counters.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as Protocol from "../shared/protocol.ts";
import * as Virtio from "../shared/virtio.ts";
import { FRAGMENT_HEADER, FragmentHeader } from "../wire/extension-headers.ts";
import { IPV4_MIN_HEADER, Ipv4, OPTION_END, OPTION_NOTHING } from "../wire/ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";

/** Set in the type of an option that every fragment repeats (RFC 791 section 3.1). */
const OPTION_COPIED: u32 = 0x80;

/**
 * A fragment that is not the last carries at least so much: pathMtu() without the longest IPv4 header, rounded down.
 */
export const FRAGMENT_MIN: u32 = 1216;

/** The most fragments into which a packet of this length is cut. */
export function piecesMax(length: u32): u32 {
  return length / FRAGMENT_MIN + 1;
}

/**
 * Queues the packet to a node, or for NodeLayout.LOCAL to the TUN, in pieces of at most `mtu` bytes. In front of its
 * transport header is an IPv4 header with options, or an IPv6 header with at most a fragment header. IPv6 without one
 * gets it, with the packet's fragmentId. The pieces are counted by `counter` (countPackets()).
 */
export function fragment(packet: Packet, node: u32, mtu: u32, counter: Counter): void {
  const head: usize = packet.at;
  const ipLength = packet.transportAt - packet.at;
  const headerLength = packet.isIpv4 ? ipLength : IPV6_HEADER + FRAGMENT_HEADER;
  const room = (mtu - headerLength) & ~7; // offsets count units of 8 bytes
  const total = packet.transportLength;
  const transportLength = total - packet.payloadLength;
  let pieces: u32 = 0;
  let bytes: u32 = 0;
  for (let offset: u32 = 0; offset < total; offset += room) {
    const length = min(room, total - offset);
    const inHeader = offset == 0 ? transportLength : 0;
    const header = takeHeader(Virtio.SIZE + headerLength + inHeader) + Virtio.SIZE;
    memory.copy(header, head, min(ipLength, headerLength));
    memory.copy(header + headerLength, head + ipLength, inHeader);
    const isLast = offset + length == total;
    if (packet.isIpv4) finishIpv4(header, ipLength, length, offset, isLast);
    else finishIpv6(header, ipLength, length, offset, isLast, packet.fragmentId);
    const from = offset == 0 ? 0 : offset - transportLength;
    queueParts(node, header, headerLength + inHeader, packet.payloadAt + from, length - inHeader);
    pieces++;
    bytes += headerLength + length;
  }
  countPackets(counter, pieces, bytes);
  count(Counter.packetsFragmented, 1);
}

/**
 * Queues a packet with generated headers to a node, or for NodeLayout.LOCAL to the TUN; then there is room for a
 * virtio_net_hdr in front of them.
 */
export function queueParts(node: u32, head: usize, headLength: u32, body: usize, bodyLength: u32): void {
  if (node != NodeLayout.LOCAL) return sendParts(node, head, headLength, body, bodyLength);
  writeParts(head - Virtio.SIZE, Virtio.SIZE + headLength, body, bodyLength);
}

/** The packet may itself be a fragment, so its offset and "more fragments" count. */
function finishIpv4(header: usize, headerLength: u32, length: u32, offset: u32, isLast: bool): void {
  const ip = Ipv4.at(header);
  ip.totalLength = headerLength + length;
  ip.setFragment(ip.fragmentOffset + offset, ip.hasMore || !isLast);
  if (offset != 0) dropUncopiedOptions(header + IPV4_MIN_HEADER, header + headerLength);
  ip.checksum = 0;
  ip.checksum = <u16>~fold(sum(header, headerLength));
}

function finishIpv6(header: usize, headerLength: u32, length: u32, offset: u32, isLast: bool, id: u32): void {
  const ip = Ipv6.at(header);
  const part = FragmentHeader.at(header + IPV6_HEADER);
  ip.payloadLength = FRAGMENT_HEADER + length;
  if (headerLength > IPV6_HEADER) {
    part.set(part.nextHeader, part.offset + offset, part.hasMore || !isLast, part.identification);
  } else {
    part.set(ip.nextHeader, offset, !isLast, id);
    ip.nextHeader = <u8>Protocol.FRAGMENT;
  }
}

/** Options that belong to the first fragment alone become as many that do nothing. */
function dropUncopiedOptions(at: usize, end: usize): void {
  while (at < end) {
    const type: u32 = load<u8>(at);
    if (type == OPTION_END) return;
    const length: u32 = type == OPTION_NOTHING || at + 1 == end ? 1 : max<u32>(load<u8>(at, 1), 1);
    if ((type & OPTION_COPIED) == 0) memory.fill(at, <u8>OPTION_NOTHING, min<usize>(length, end - at));
    at += length;
  }
}
