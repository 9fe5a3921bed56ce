// ICMP and ICMPv6 header (RFC 792, RFC 4443 section 2.1). Both families have the same picture, and other numbers in it.
//    0 type  1 code  2 checksum  4 rest of header: of an echo the identifier, 6 its sequence number  8 data ...

export const ICMP_HEADER: u32 = 8;

export const ICMP_ECHO_REPLY = 0;
export const ICMP_UNREACHABLE = 3;
export const ICMP_ECHO_REQUEST = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;

export const ICMPV6_UNREACHABLE = 1;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;
export const ICMPV6_PARAMETER_PROBLEM = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;

/**
 * Codes of "unreachable", one bit each, that hold for all packets to a port: those of the network, the host, the
 * protocol, the port and of filters (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1), none of a packet's size, options,
 * class or source.
 */
const ANY_PACKET: u32 = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 3) | (1 << 9) | (1 << 10) | (1 << 13);
const ANY_PACKET_V6: u32 = (1 << 0) | (1 << 1) | (1 << 3) | (1 << 4) | (1 << 6);
const PORT: u32 = 3;
const PORT_V6: u32 = 4;

@unmanaged
export class Icmp {
  type: u8;
  code: u8;
  /** As it is in the packet. ICMPv6: over the pseudo-header as well. */
  checksum: u16;
  /** Of an echo; in network order, as in the packet. */
  identifier: u16;
  sequenceNumber: u16;

  static at(ptr: usize): Icmp {
    return changetype<Icmp>(ptr);
  }

  /** Identifier and sequence number as one word, in host order: of an error its MTU or pointer. */
  get word(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }

  set word(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }

  isEchoRequest(isIpv4: bool): bool {
    return this.type == (isIpv4 ? ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST);
  }

  isEchoReply(isIpv4: bool): bool {
    return this.type == (isIpv4 ? ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY);
  }

  /** Whether the second word has the length of the quoted packet, when something follows it (RFC 4884). */
  saysQuotedLength(isIpv4: bool): bool {
    const type: u32 = this.type;
    if (!isIpv4) return type == ICMPV6_UNREACHABLE || type == ICMPV6_TIME_EXCEEDED;
    return this.isError(true);
  }

  /** Whether an error says that no packet gets to where the quoted one was to go, whatever it is like. */
  isUnreachable(isIpv4: bool): bool {
    if (this.type != <u8>(isIpv4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE) || this.code > 31) return false;
    return (((isIpv4 ? ANY_PACKET : ANY_PACKET_V6) >> this.code) & 1) != 0;
  }

  /** Of an isUnreachable(): nobody listens at the port. */
  isOfPort(isIpv4: bool): bool {
    return <u32>this.code == (isIpv4 ? PORT : PORT_V6);
  }

  /** Of the errors that quote a packet, those that hosts act upon: neither source quench (RFC 6633) nor redirects. */
  isError(isIpv4: bool): bool {
    const type: i32 = this.type;
    if (!isIpv4) return type >= ICMPV6_UNREACHABLE && type <= ICMPV6_PARAMETER_PROBLEM;
    return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
  }
}
