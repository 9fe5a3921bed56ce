// From one IP version to the other: a packet gets a header of the other family (RFC 7915 sections 4.1 and 5.1).
// The addresses in it are for rewrite() to set, which takes the checksums from the old ones to the new ones.

import { workerAt } from "../area/regions.ts";
import { update, wordDelta } from "../checksum/incremental.ts";
import { pseudoHeaderSum } from "../checksum/pseudo-header.ts";
import { fold, orOnes, sum, sumAddress } from "../checksum/sum.ts";
import { takeHeader } from "../queue/arena.ts";
import { WorkerArea } from "../record/worker.ts";
import * as Protocol from "../shared/protocol.ts";
import { DropReason } from "../shared/verdicts.ts";
import * as Virtio from "../shared/virtio.ts";
import { FRAGMENT_HEADER, FragmentHeader, isExtensionHeader } from "../wire/extension-headers.ts";
import { ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, ICMPV6_ECHO_REPLY, ICMPV6_ECHO_REQUEST, Icmp } from "../wire/icmp.ts";
import { IPV4_MIN_HEADER, Ipv4, OPTION_END, OPTION_NOTHING } from "../wire/ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "../wire/ipv6.ts";
import { Packet, PacketKind } from "../wire/packet.ts";
import { UDP_HEADER, Udp } from "../wire/udp.ts";

const FRAGMENTABLE_MAX: u32 = 1260;
const LENGTH_MAX: u32 = 65535;
// RFC 791 section 3.1
const LOOSE_SOURCE_ROUTE: u32 = 131;
const STRICT_SOURCE_ROUTE: u32 = 137;

/** Length that a packet of `length` bytes has in the other family, without what changeFamily() leaves out. */
export function lengthAcross(packet: Packet, length: u32): u32 {
  const transport = length - (packet.transportAt - packet.at);
  if (!packet.isIpv4) return IPV4_MIN_HEADER + transport;
  return IPV6_HEADER + (packet.isFragment ? FRAGMENT_HEADER : 0) + transport;
}

/** DropReason.none if the packet can be of the other family, else why not. To be called before changeFamily(). */
export function canChangeFamily(packet: Packet): DropReason {
  const refused = packet.isIpv4 ? checkIpv4Header(packet) : checkIpv6Headers(packet);
  if (refused != DropReason.none) return refused;
  const protocol = packet.protocol;
  const isIcmp = protocol == Protocol.ICMP || protocol == Protocol.ICMPV6;
  // RFC 7915 section 1.2: an ICMPv6 checksum covers the length of the whole message, which no fragment tells.
  if (packet.isFragment && isIcmp) return DropReason.notTranslatable;
  // An authentication header covers the addresses; others would be taken for IPv6 extension headers.
  if (isExtensionHeader(protocol)) return DropReason.notTranslatable;
  if (packet.isFragment && packet.isIpv4 && isUnsummedUdp(packet)) return DropReason.notTranslatable;
  return DropReason.none;
}

/**
 * Gives the packet a header of the other family, directly in front of its transport header. `isDetached` says that
 * something else is there: then both headers go to where headers are generated, with room for a virtio_net_hdr in
 * front, and only the payload stays. `segments` and `segmentSize` are those of a super-packet, or 1 and 0.
 */
export function changeFamily(packet: Packet, segments: u32, segmentSize: u32, isDetached: bool): void {
  if (packet.kind == PacketKind.echo) changeEcho(packet);
  if (packet.isIpv4) {
    const ip = Ipv4.at(packet.at);
    packet.fragmentId = ip.identification;
    // A quoted packet may have lost its end, and nobody verifies it.
    if (segments != 0 && isUnsummedUdp(packet)) sumUdp(packet); // RFC 7915 section 4.5: IPv6 has no UDP without checksum
    toIpv6(packet, ip.tos, ip.ttl, isDetached);
  } else {
    const ip = Ipv6.at(packet.at);
    const length = IPV4_MIN_HEADER + packet.transportLength;
    const segmentLength = segmentSize == 0 ? length : length - packet.payloadLength + segmentSize;
    const mayFragment = isFragmentable(segmentLength);
    toIpv4(packet, ip.trafficClass, ip.hopLimit, segments, packet.hasFragmentHeader, mayFragment, isDetached);
  }
}

/** Puts an IPv6 header in front of the transport header, with the old addresses. */
export function toIpv6(packet: Packet, trafficClass: u8, hopLimit: u8, isDetached: bool): void {
  const protocol = packet.protocol == Protocol.ICMP ? <u8>Protocol.ICMPV6 : packet.protocol;
  const bodyLength = packet.transportLength;
  const headerLength = IPV6_HEADER + (packet.isFragment ? FRAGMENT_HEADER : 0);
  const at = makeRoom(packet, headerLength, isDetached);
  const ip = Ipv6.at(at);
  const first = packet.isFragment ? <u8>Protocol.FRAGMENT : protocol;
  ip.start(trafficClass, headerLength - IPV6_HEADER + bodyLength, first, hopLimit);
  ip.source = packet.source;
  ip.destination = packet.destination;
  if (packet.isFragment) {
    FragmentHeader.at(at + IPV6_HEADER).set(protocol, packet.fragmentOffset, packet.hasMore, packet.fragmentId);
  }
  packet.at = at;
  packet.length = headerLength + bodyLength;
  packet.isIpv4 = false;
}

/** RFC 7915 section 5.1: whether an IPv4 packet of `length` bytes that comes from IPv6 may be fragmented on its way. */
export function isFragmentable(length: u32): bool {
  return length <= FRAGMENTABLE_MAX;
}

/**
 * Puts an IPv4 header in front of the transport header, whose checksum is that of the old addresses.
 * `isFragmented`: what the packet's own fragment header says goes into the new header.
 */
export function toIpv4(
  packet: Packet,
  tos: u8,
  ttl: u8,
  segments: u32,
  isFragmented: bool,
  mayFragment: bool,
  isDetached: bool,
): void {
  const length = IPV4_MIN_HEADER + packet.transportLength;
  const at = makeRoom(packet, IPV4_MIN_HEADER, isDetached);
  const ip = Ipv4.at(at);
  if (isFragmented) {
    ip.start(tos, length, packet.fragmentId & 0xffff, true, ttl, packet.protocol);
    ip.setFragment(packet.fragmentOffset, packet.hasMore);
  } else {
    const identification = WorkerArea.at(workerAt).nextIdentification.value;
    ip.start(tos, length, identification, mayFragment, ttl, packet.protocol);
    // Unique as long as it may be fragmented, also when another engine is put in force meanwhile.
    WorkerArea.at(workerAt).nextIdentification.value = (identification + segments) & 0xffff;
  }
  const addresses = sumAddress(packet.source) + sumAddress(packet.destination);
  ip.checksum = <u16>~fold(sum(at, IPV4_MIN_HEADER - 8) + addresses);
  packet.at = at;
  packet.length = length;
  packet.isIpv4 = true;
}

/** Where the `ipLength` bytes of the new IP header go, in front of the transport header. */
function makeRoom(packet: Packet, ipLength: u32, isDetached: bool): u32 {
  if (!isDetached) return packet.transportAt - ipLength;
  // UDP-Lite and DCCP have a checksum to be updated in what is payload otherwise.
  if (packet.kind == PacketKind.portless) packet.payloadAt += min<u32>(UDP_HEADER, packet.payloadLength);
  const transportLength = packet.transportLength - packet.payloadLength;
  const at = <u32>takeHeader(Virtio.SIZE + ipLength + transportLength) + Virtio.SIZE;
  memory.copy(at + ipLength, packet.transportAt, transportLength);
  packet.transportAt = at + ipLength;
  return at;
}

/** The other family's type, and the pseudo-header of the old addresses, which ICMPv6 sums and ICMP does not. */
function changeEcho(packet: Packet): void {
  const icmp = Icmp.at(packet.transportAt);
  const isRequest = icmp.isEchoRequest(packet.isIpv4);
  const before = load<u16>(packet.transportAt);
  if (packet.isIpv4) icmp.type = <u8>(isRequest ? ICMPV6_ECHO_REQUEST : ICMPV6_ECHO_REPLY);
  else icmp.type = <u8>(isRequest ? ICMP_ECHO_REQUEST : ICMP_ECHO_REPLY);
  const length = packet.transportLength;
  const pseudoHeader = pseudoHeaderSum(packet.source, packet.destination, <u8>Protocol.ICMPV6, length);
  const delta: u32 = packet.isIpv4 ? fold(pseudoHeader) : <u16>~fold(pseudoHeader);
  const checksum = update(icmp.checksum, wordDelta(before, load<u16>(packet.transportAt)) + delta);
  icmp.checksum = packet.isIpv4 ? checksum : orOnes(checksum);
}

function isUnsummedUdp(packet: Packet): bool {
  const isUdp = packet.protocol == Protocol.UDP && packet.kind == PacketKind.transport;
  return isUdp && Udp.at(packet.transportAt).checksum == 0;
}

function sumUdp(packet: Packet): void {
  const length = Udp.at(packet.transportAt).length; // options behind it do not count (RFC 9868)
  const pseudoHeader = pseudoHeaderSum(packet.source, packet.destination, <u8>Protocol.UDP, length);
  Udp.at(packet.transportAt).checksum = orOnes(<u16>~fold(pseudoHeader + sum(packet.transportAt, length)));
}

/** A header whose checksum is wrong must not come out right, and IPv6 has none. */
function checkIpv4Header(packet: Packet): DropReason {
  const length = packet.transportAt - packet.at;
  if (fold(sum(packet.at, length)) != 0xffff) return DropReason.badHeaderChecksum;
  return hasSourceRoute(packet.at + IPV4_MIN_HEADER, packet.transportAt) ? DropReason.sourceRoute : DropReason.none;
}

/** Whether the options have a source route that has not come to its end. */
function hasSourceRoute(at: u32, end: u32): bool {
  while (at < end) {
    const type: u32 = load<u8>(at);
    if (type == OPTION_END) return false;
    if (type == OPTION_NOTHING) {
      at++;
      continue;
    }
    if (at + 3 > end) return false;
    const length: u32 = load<u8>(at, 1);
    const isSourceRoute = type == LOOSE_SOURCE_ROUTE || type == STRICT_SOURCE_ROUTE;
    if (isSourceRoute && <u32>load<u8>(at, 2) <= length) return true;
    at += max<u32>(length, 2);
  }
  return false;
}

/** RFC 7915 section 5.1: options and routing headers that have come to their end are left out. */
export function checkIpv6Headers(packet: Packet): DropReason {
  packet.hasFragmentHeader = false;
  if (IPV4_MIN_HEADER + packet.transportLength > LENGTH_MAX) return DropReason.notTranslatable;
  let next = Ipv6.at(packet.at).nextHeader;
  for (let at = packet.at + IPV6_HEADER; at < packet.transportAt; ) {
    if (next == Protocol.FRAGMENT) packet.hasFragmentHeader = true;
    else if (next == Protocol.ROUTING) {
      packet.segmentsLeftAt = at + 3;
      if (load<u8>(packet.segmentsLeftAt) != 0) return DropReason.sourceRoute;
    } else if (next != Protocol.HOP_BY_HOP && next != Protocol.DESTINATION_OPTIONS) return DropReason.notTranslatable;
    const length: u32 = next == Protocol.FRAGMENT ? FRAGMENT_HEADER : (<u32>load<u8>(at, 1) + 1) << 3;
    next = load<u8>(at);
    at += length;
  }
  return DropReason.none;
}
