// An ICMP error in the other family, with the packet that it quotes (RFC 7915 sections 4.2, 4.3, 5.2 and 5.3).
// The addresses are for related.ts to set, which takes the checksums from the old ones to the new ones.

import { pseudoHeaderSum } from "../checksum/pseudo-header.ts";
import { fold, sum } from "../checksum/sum.ts";
import { takeHeader } from "../queue/arena.ts";
import { copyPacket } from "../queue/parts.ts";
import * as Header from "../record/header.ts";
import * as Protocol from "../shared/protocol.ts";
import { DropReason } from "../shared/verdicts.ts";
import { isExtensionHeader } from "../wire/extension-headers.ts";
import { ICMP_HEADER, Icmp } from "../wire/icmp.ts";
import { IPV4_MIN_HEADER, Ipv4 } from "../wire/ipv4.ts";
import { IPV6_HEADER, IPV6_MTU_MIN, Ipv6 } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";
import { canChangeFamily, changeFamily, checkIpv6Headers, isFragmentable, toIpv4, toIpv6 } from "./header.ts";
import { codeOf, NO_COUNTERPART, toIcmpv4, toIcmpv6, typeOf, wordOf } from "./icmp-type.ts";

/** Both IP headers grow by 20 bytes, and a virtio_net_hdr comes in front. */
const ROOM: u32 = 64;

/** Gives the error and what it quotes headers of the other family, in place; `isDetached`: in a copy. */
export function changeErrorFamily(packet: Packet, isDetached: bool): DropReason {
  const quoted = packet.quoted;
  const invalid = canChangeFamily(packet);
  if (invalid != DropReason.none) return invalid;
  const refused = checkError(packet, quoted);
  if (refused != DropReason.none) return refused;
  const counterpart = counterpartOf(packet, quoted);
  if (counterpart == NO_COUNTERPART) return DropReason.notTranslatable;
  leaveOutExtensions(packet, quoted);
  if (isDetached) moveToCopy(packet, quoted);
  const wasIpv4 = packet.isIpv4;
  // Read before the quoted packet grows over it.
  const trafficClass = wasIpv4 ? Ipv4.at(packet.at).tos : Ipv6.at(packet.at).trafficClass;
  const hopLimit = wasIpv4 ? Ipv4.at(packet.at).ttl : Ipv6.at(packet.at).hopLimit;

  quoted.length = wasIpv4 ? Ipv4.at(quoted.at).totalLength : IPV6_HEADER + Ipv6.at(quoted.at).payloadLength;
  changeFamily(quoted, 0, 0, false);
  const icmp = Icmp.at(quoted.at - ICMP_HEADER);
  if (wasIpv4) quoted.end = min(quoted.end, quoted.at + IPV6_MTU_MIN - IPV6_HEADER - ICMP_HEADER); // RFC 4443 2.4 (c)
  packet.end = quoted.end;
  packet.transportAt = quoted.at - ICMP_HEADER;
  packet.payloadAt = quoted.at;
  packet.length = packet.end - packet.at;
  if (wasIpv4) toIpv6(packet, trafficClass, hopLimit, false);
  else {
    const mayFragment = isFragmentable(IPV4_MIN_HEADER + packet.transportLength);
    toIpv4(packet, trafficClass, hopLimit, 1, packet.hasFragmentHeader, mayFragment, false);
  }

  icmp.type = typeOf(counterpart);
  icmp.code = codeOf(counterpart);
  icmp.checksum = 0;
  icmp.word = wordOf(counterpart);
  const length = packet.transportLength;
  let total = sum(packet.transportAt, length);
  if (wasIpv4) total += pseudoHeaderSum(packet.source, packet.destination, <u8>Protocol.ICMPV6, length);
  icmp.checksum = <u16>~fold(total);
  return DropReason.none;
}

/** Whether an error and what it quotes can be of the other family. */
function checkError(packet: Packet, quoted: Packet): DropReason {
  const isIpv4 = packet.isIpv4;
  // What is made anew comes out right: it has to be right before.
  const length = packet.transportLength;
  const ip = Ipv6.at(packet.at);
  let total = sum(packet.transportAt, length);
  if (!isIpv4) total += pseudoHeaderSum(ip.source, ip.destination, <u8>Protocol.ICMPV6, length);
  if (fold(total) != 0xffff) return DropReason.badIcmpError;
  if (isExtensionHeader(quoted.protocol)) return DropReason.notTranslatable;
  if (!isIpv4 && checkIpv6Headers(quoted) != DropReason.none) return DropReason.notTranslatable;
  return DropReason.none;
}

function counterpartOf(packet: Packet, quoted: Packet): u64 {
  const icmp = Icmp.at(packet.transportAt);
  const linkMtu = Header.tunMtu.value;
  return packet.isIpv4
    ? toIcmpv6(icmp.type, icmp.code, icmp.word, Ipv4.at(quoted.at).totalLength, linkMtu)
    : toIcmpv4(icmp.type, icmp.code, icmp.word, linkMtu);
}

/** RFC 4884: what comes behind the quoted packet has no place when that changes its length. */
function leaveOutExtensions(packet: Packet, quoted: Packet): void {
  const icmp = Icmp.at(packet.transportAt);
  const length = packet.isIpv4 ? ((icmp.word >>> 16) & 0xff) << 2 : (icmp.word >>> 24) << 3;
  if (!icmp.saysQuotedLength(packet.isIpv4) || length == 0) return;
  const shortest = quoted.transportAt + ICMP_HEADER;
  quoted.end = max(shortest, min(quoted.end, quoted.at + length));
}

function moveToCopy(packet: Packet, quoted: Packet): void {
  const copy = <u32>takeHeader(ROOM + packet.length) + ROOM;
  copyPacket(packet, 0, copy);
  const by = copy - packet.at;
  packet.at += by;
  packet.transportAt += by;
  packet.payloadAt += by;
  packet.end += by;
  quoted.at += by;
  quoted.transportAt += by;
  quoted.payloadAt += by;
  quoted.end += by;
}
