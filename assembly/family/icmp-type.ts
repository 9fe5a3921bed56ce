// What an ICMP error is called in the other family (RFC 7915 sections 4.2 and 5.2): type, code, and the word behind
// the checksum, which holds an MTU, a pointer into the quoted packet, or nothing.
// What has no counterpart is not translated.

import {
  ICMP_PARAMETER_PROBLEM,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
} from "../wire/icmp.ts";
import { IPV4_MIN_HEADER } from "../wire/ipv4.ts";
import { IPV6_HEADER, IPV6_MTU_MIN } from "../wire/ipv6.ts";

/** The least MTU of an IPv4 link (RFC 791 section 3.2). */
const IPV4_MTU_MIN: u32 = 68;
/** What the IP header grows by towards IPv6. */
const FAMILY_GROWTH: u32 = IPV6_HEADER - IPV4_MIN_HEADER;

// ICMP codes of "unreachable" (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1)
export const NETWORK_UNREACHABLE = 0;
export const HOST_UNREACHABLE = 1;
const PROTOCOL = 2;
const PORT = 3;
export const FRAGMENTATION_NEEDED = 4;
export const SOURCE_ROUTE_FAILED = 5;
const TYPE_OF_SERVICE_HOST: u32 = 12;
const NETWORK_PROHIBITED = 9;
const HOST_PROHIBITED = 10;
export const PROHIBITED = 13;
const PRECEDENCE_CUTOFF = 15;
// ICMPv6 codes of "unreachable" (RFC 4443 section 3.1)
export const NO_ROUTE = 0;
export const ADMINISTRATIVELY = 1;
const BEYOND_SCOPE = 2;
export const ADDRESS_UNREACHABLE = 3;
const PORT_V6 = 4;
// Codes of "parameter problem"
const POINTER = 0;
const BAD_LENGTH = 2;
const UNRECOGNIZED_NEXT_HEADER = 1;

const NO_POINTER: u32 = 0xff;
const NEXT_HEADER_POINTER: u32 = 6;

/** There is none in the other family. */
export const NO_COUNTERPART: u64 = 0;

/** Of what toIcmpv6() or toIcmpv4() answered. */
export function typeOf(counterpart: u64): u8 {
  return <u8>(counterpart >>> 40);
}

export function codeOf(counterpart: u64): u8 {
  return <u8>(counterpart >>> 32);
}

/** The word behind the checksum, in host order. */
export function wordOf(counterpart: u64): u32 {
  return <u32>counterpart;
}

/**
 * How an ICMP error reads as ICMPv6. `word` is the one behind the checksum, in host order; `quotedLength` what the
 * quoted packet says of its length; `linkMtu` that of the link to the receiver, 0 = not known. Type, code and
 * word (typeOf(), codeOf(), wordOf()), or NO_COUNTERPART.
 */
export function toIcmpv6(type: u32, code: u32, word: u32, quotedLength: u32, linkMtu: u32): u64 {
  switch (type) {
    case ICMP_UNREACHABLE:
      return unreachableToIcmpv6(code, word & 0xffff, quotedLength, linkMtu);
    case ICMP_TIME_EXCEEDED:
      return found(ICMPV6_TIME_EXCEEDED, code, 0);
    case ICMP_PARAMETER_PROBLEM: {
      if (code != POINTER && code != BAD_LENGTH) return NO_COUNTERPART;
      const pointer = pointerToIpv6(word >>> 24);
      return pointer != NO_POINTER ? found(ICMPV6_PARAMETER_PROBLEM, POINTER, pointer) : NO_COUNTERPART;
    }
    default:
      return NO_COUNTERPART;
  }
}

/** The other way round. */
export function toIcmpv4(type: u32, code: u32, word: u32, linkMtu: u32): u64 {
  switch (type) {
    case ICMPV6_UNREACHABLE:
      return unreachableToIcmp(code);
    case ICMPV6_PACKET_TOO_BIG: {
      const shrunk = max<u32>(word, IPV4_MTU_MIN + FAMILY_GROWTH) - FAMILY_GROWTH;
      const fits = linkMtu == 0 ? shrunk : min(shrunk, linkMtu);
      return found(ICMP_UNREACHABLE, FRAGMENTATION_NEEDED, min<u32>(fits, 0xffff));
    }
    case ICMPV6_TIME_EXCEEDED:
      return found(ICMP_TIME_EXCEEDED, code, 0);
    case ICMPV6_PARAMETER_PROBLEM: {
      if (code == UNRECOGNIZED_NEXT_HEADER) return found(ICMP_UNREACHABLE, PROTOCOL, 0);
      const pointer = code == POINTER ? pointerToIpv4(word) : NO_POINTER;
      return pointer != NO_POINTER ? found(ICMP_PARAMETER_PROBLEM, POINTER, pointer << 24) : NO_COUNTERPART;
    }
    default:
      return NO_COUNTERPART;
  }
}

function found(type: u32, code: u32, word: u32): u64 {
  return ((<u64>type) << 40) | ((<u64>(code & 0xff)) << 32) | word;
}

function unreachableToIcmpv6(code: u32, mtu: u32, quotedLength: u32, linkMtu: u32): u64 {
  switch (code) {
    case PROTOCOL:
      return found(ICMPV6_PARAMETER_PROBLEM, UNRECOGNIZED_NEXT_HEADER, NEXT_HEADER_POINTER);
    case PORT:
      return found(ICMPV6_UNREACHABLE, PORT_V6, 0);
    case FRAGMENTATION_NEEDED: {
      const grown = (mtu == 0 ? plateauBelow(quotedLength) : mtu) + FAMILY_GROWTH;
      const fits = linkMtu == 0 ? grown : min(grown, linkMtu);
      return found(ICMPV6_PACKET_TOO_BIG, 0, max(fits, IPV6_MTU_MIN));
    }
    case NETWORK_PROHIBITED:
    case HOST_PROHIBITED:
    case PROHIBITED:
    case PRECEDENCE_CUTOFF:
      return found(ICMPV6_UNREACHABLE, ADMINISTRATIVELY, 0);
    default:
      return code <= TYPE_OF_SERVICE_HOST ? found(ICMPV6_UNREACHABLE, NO_ROUTE, 0) : NO_COUNTERPART;
  }
}

function unreachableToIcmp(code: u32): u64 {
  switch (code) {
    case NO_ROUTE:
    case BEYOND_SCOPE:
    case ADDRESS_UNREACHABLE:
      return found(ICMP_UNREACHABLE, HOST_UNREACHABLE, 0);
    case ADMINISTRATIVELY:
      return found(ICMP_UNREACHABLE, HOST_PROHIBITED, 0);
    case PORT_V6:
      return found(ICMP_UNREACHABLE, PORT, 0);
    default:
      return NO_COUNTERPART;
  }
}

/** RFC 1191 section 7.1: the likely MTU, when a router that does not tell it could not forward so long a packet. */
function plateauBelow(length: u32): u32 {
  if (length > 32000) return 32000;
  if (length > 17914) return 17914;
  if (length > 8166) return 8166;
  if (length > 4352) return 4352;
  if (length > 2002) return 2002;
  if (length > 1492) return 1492;
  return 1006; // less than IPv6 knows in any case
}

/** RFC 7915 figure 3: the field of an IPv6 header that corresponds to the one at this byte of an IPv4 header. */
function pointerToIpv6(pointer: u32): u32 {
  if (pointer < 2) return pointer; // version, TOS: version, traffic class
  if (pointer < 4) return 4; // total length: payload length
  if (pointer == 8) return 7; // TTL: hop limit
  if (pointer == 9) return NEXT_HEADER_POINTER;
  if (pointer >= 12 && pointer < 16) return 8; // source
  if (pointer >= 16 && pointer < 20) return 24; // destination
  return NO_POINTER;
}

/** RFC 7915 figure 6, likewise. */
function pointerToIpv4(pointer: u32): u32 {
  if (pointer < 2) return pointer;
  if (pointer == 4 || pointer == 5) return 2;
  if (pointer == NEXT_HEADER_POINTER) return 9;
  if (pointer == 7) return 8;
  if (pointer >= 8 && pointer < 24) return 12;
  if (pointer >= 24 && pointer < 40) return 16;
  return NO_POINTER;
}
