// An IP packet, parsed once: its flow key and where each layer lies, or the reason why it is not forwarded.
// After parse() returned DropReason.none every accessor of the views that its kind promises is in bounds.

import * as Protocol from "../shared/protocol.ts";
import { DropReason } from "../shared/verdicts.ts";
import {
  FragmentHeader,
  fragmentHeaderBefore,
  isExtensionHeader,
  NO_UPPER,
  upperAt,
  upperProtocol,
  walkExtensions,
} from "./extension-headers.ts";
import { ICMP_HEADER, Icmp } from "./icmp.ts";
import { IPV4_MIN_HEADER, Ipv4 } from "./ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "./ipv6.ts";
import { TCP_CHECKSUM, TCP_MIN_HEADER, Tcp } from "./tcp.ts";
import { UDP_HEADER, Udp } from "./udp.ts";

// The v4-mapped prefix ::ffff:0:0/96 (RFC 4291 section 2.5.5.2), lanes 0...2 of an address.
const V4_MAPPED_LANE_2: u32 = 0xffff0000;
/** Transport bytes that an ICMP error quotes at least (RFC 792), and that are enough for ports and identifiers. */
const QUOTED_TRANSPORT_MIN: u32 = 8;
/** Where the quoted packet is described, behind the packet that quotes it. */
const QUOTED: usize = 128;

/** What a packet's flow is known by. A first fragment is of the kind that the whole packet is. */
export enum PacketKind {
  /** TCP or UDP: addresses and ports. */
  transport,
  /** ICMP echo: addresses and identifier, which is used as the requester's port. */
  echo,
  /** An ICMP error: by the packet that it quotes. */
  error,
  /** Any other protocol: addresses and protocol number. */
  portless,
  /** A fragment other than the first, of one of the kinds above: by the first. */
  laterFragment,
}

/** Whether a UDP datagram in hand is not the beginning of one. */
let isDatagramWhole: bool = true;

/** The packet in hand: one per worker, at WorkerLayout.SCRATCH. */
@unmanaged
export class Packet {
  source: v128;
  destination: v128;
  /** Source and destination port, in network order, as one word; those that the kind has, else 0. */
  ports: u32;
  /** Address of the first byte of the IP header. */
  at: u32;
  /** Of the IP packet; what came after it is not part of it. */
  length: u32;
  /** Behind all IP headers. */
  transportAt: u32;
  payloadAt: u32;
  /** Behind the last byte of the payload. */
  end: u32;
  /** Of a fragment: where its bytes belong in the whole. */
  fragmentOffset: u32;
  fragmentId: u32;
  /** Of IPv6, as canChangeFamily() found it: the field of the routing header that DropReason.sourceRoute is about. */
  segmentsLeftAt: u32;
  /** As in flow keys: Protocol.ICMP also for ICMPv6. */
  protocol: u8;
  isIpv4: bool;
  /** TCP flags; 0 for all else. */
  flags: u8;
  /** PacketKind; with the next one a word that is 0 for most packets, so that one look tells (isPlain). */
  kind: u8;
  /** Part of a packet, and not the whole one in one fragment (RFC 6946). */
  isFragment: bool;
  /** Of a fragment: it is not the last. */
  hasMore: bool;
  /** Of IPv6, as canChangeFamily() found it. */
  hasFragmentHeader: bool;

  static at(ptr: usize): Packet {
    return changetype<Packet>(ptr);
  }

  get sourcePort(): u16 {
    return <u16>this.ports;
  }

  get destinationPort(): u16 {
    return <u16>(this.ports >>> 16);
  }

  /** A whole TCP or UDP packet. */
  get isPlain(): bool {
    return load<u16>(changetype<usize>(this), offsetof<Packet>("kind")) == 0;
  }

  /** Says that it is a whole packet of this kind; PacketKind.transport makes it plain. */
  private setWhole(kind: PacketKind): void {
    store<u16>(changetype<usize>(this), <u16>kind, offsetof<Packet>("kind"));
  }

  /** Whether the sender's side has a number of its own that a NAT could change. */
  get hasSourcePort(): bool {
    if (this.kind == PacketKind.echo) return Icmp.at(this.transportAt).isEchoRequest(this.isIpv4);
    return this.kind == PacketKind.transport;
  }

  get sourceAt(): usize {
    return changetype<usize>(this) + offsetof<Packet>("source");
  }

  get destinationAt(): usize {
    return changetype<usize>(this) + offsetof<Packet>("destination");
  }

  /** IP and transport header, which are consecutive; the payload may be elsewhere. */
  get headerLength(): u32 {
    return this.length - this.payloadLength;
  }

  /** Transport header and payload. */
  get transportLength(): u32 {
    return this.length - (this.transportAt - this.at);
  }

  get payloadLength(): u32 {
    return this.end - this.payloadAt;
  }

  /** Whether the payload is elsewhere than behind the headers. */
  get isSplit(): bool {
    return this.at + this.length != this.end;
  }

  /** Of an ICMP error: the packet that it is about, as far as it was quoted; its payload is not to be relied on. */
  get quoted(): Packet {
    return Packet.at(changetype<usize>(this) + QUOTED);
  }

  /** Makes this describe what would answer it: the ends change places, the bytes stay. */
  turn(): void {
    const source = this.source;
    this.source = this.destination;
    this.destination = source;
    this.ports = rotl<u32>(this.ports, 16);
  }

  /** Makes this describe a copy of its headers at `at`, with a payload that is elsewhere. */
  moveTo(at: u32, payloadAt: u32, payloadLength: u32): void {
    this.length = this.headerLength + payloadLength;
    this.transportAt += at - this.at;
    this.at = at;
    this.payloadAt = payloadAt;
    this.end = payloadAt + payloadLength;
  }

  /** Parses the `available` bytes at `at`. */
  parse(at: u32, available: u32): DropReason {
    this.at = at;
    if (available == 0) return DropReason.notIp;
    const version = load<u8>(at) >>> 4;
    if (version == 4) return this.parseIpv4(available);
    if (version == 6) return this.parseIpv6(available);
    return DropReason.notIp;
  }

  private parseIpv4(available: u32): DropReason {
    if (available < IPV4_MIN_HEADER) return DropReason.truncatedHeader;
    const ip = Ipv4.at(this.at);
    const headerLength = ip.headerLength;
    if (headerLength < IPV4_MIN_HEADER || headerLength > available) return DropReason.badHeaderLength;
    const length = ip.totalLength;
    if (length < headerLength || length > available) return DropReason.badTotalLength;
    this.isIpv4 = true;
    this.source = v4Mapped(ip.source);
    this.destination = v4Mapped(ip.destination);
    this.length = length;
    this.end = this.at + length;
    if (ip.isFragment)
      return this.parseFragment(ip.protocol, headerLength, ip.fragmentOffset, ip.hasMore, ip.identification);
    return this.parseTransport(ip.protocol, headerLength);
  }

  private parseIpv6(available: u32): DropReason {
    if (available < IPV6_HEADER) return DropReason.truncatedHeader;
    const ip = Ipv6.at(this.at);
    const length = IPV6_HEADER + ip.payloadLength;
    if (length > available) return DropReason.badTotalLength;
    this.isIpv4 = false;
    const source = ip.source;
    const destination = ip.destination;
    this.source = source;
    this.destination = destination;
    if (i64x2.extract_lane(source, 0) == 0 || i64x2.extract_lane(destination, 0) == 0) this.hideV4Mapped();
    this.length = length;
    this.end = this.at + length;
    const next = ip.nextHeader;
    if (next == Protocol.TCP || next == Protocol.UDP) return this.parseTransport(next, IPV6_HEADER);
    return this.parseExtensions(next);
  }

  /** Only an address that begins with 8 zero bytes can be one of those. */
  private hideV4Mapped(): void {
    this.source = neverV4(this.source);
    this.destination = neverV4(this.destination);
  }

  private parseExtensions(next: u8): DropReason {
    const found = walkExtensions(next, this.at + IPV6_HEADER, this.end);
    if (found == NO_UPPER) return DropReason.badExtensionHeader;
    const headerLength = upperAt(found) - this.at;
    const before = fragmentHeaderBefore(found);
    if (before == 0) return this.parseTransport(upperProtocol(found), headerLength);
    const header = FragmentHeader.at(upperAt(found) - before);
    const offset = header.offset;
    return this.parseFragment(upperProtocol(found), headerLength, offset, header.hasMore, header.identification);
  }

  private parseFragment(protocol: u8, headerLength: u32, offset: u32, hasMore: bool, id: u32): DropReason {
    this.fragmentOffset = offset;
    this.hasMore = hasMore;
    this.fragmentId = id;
    if (offset == 0) {
      isDatagramWhole = !hasMore;
      const reason = this.parseTransport(protocol, headerLength);
      isDatagramWhole = true;
      this.isFragment = hasMore;
      return reason;
    }
    this.transportAt = this.at + headerLength;
    this.payloadAt = this.transportAt;
    this.protocol = protocol;
    this.flags = 0;
    this.ports = 0;
    this.setWhole(isKnownByFirst(protocol, this.isIpv4) ? PacketKind.laterFragment : PacketKind.portless);
    this.isFragment = true;
    return DropReason.none;
  }

  @inline // twice on the path of every packet, once per family
  private parseTransport(protocol: u8, headerLength: u32): DropReason {
    this.protocol = protocol;
    const transportAt = this.at + headerLength;
    this.transportAt = transportAt;
    const transportLength = this.length - headerLength;
    if (protocol == Protocol.TCP) {
      if (transportLength < TCP_MIN_HEADER) return DropReason.truncatedTransport;
      const tcp = Tcp.at(transportAt);
      const tcpLength = tcp.headerLength;
      if (tcpLength < TCP_MIN_HEADER || tcpLength > transportLength) return DropReason.badTransportLength;
      this.payloadAt = transportAt + tcpLength;
      this.flags = tcp.flags;
    } else if (protocol == Protocol.UDP) {
      if (transportLength < UDP_HEADER) return DropReason.truncatedTransport;
      const udpLength = Udp.at(transportAt).length;
      // RFC 9868: what is behind the datagram are options. The rest of a fragmented one comes later.
      if (
        udpLength != transportLength &&
        (udpLength < UDP_HEADER || (isDatagramWhole && udpLength > transportLength))
      ) {
        return DropReason.badTransportLength;
      }
      this.payloadAt = transportAt + UDP_HEADER;
      this.flags = 0;
    } else {
      return this.parseOther(protocol, transportLength);
    }
    this.setWhole(PacketKind.transport);
    this.ports = load<u32>(transportAt);
    return this.sourcePort == 0 || this.destinationPort == 0 ? DropReason.portZero : DropReason.none;
  }

  private parseOther(protocol: u8, transportLength: u32): DropReason {
    this.flags = 0;
    if (protocol == Protocol.ICMP || protocol == Protocol.ICMPV6) return this.parseIcmp(protocol, transportLength);
    this.payloadAt = this.transportAt;
    this.ports = 0;
    this.setWhole(PacketKind.portless);
    return DropReason.none;
  }

  private parseIcmp(protocol: u8, transportLength: u32): DropReason {
    const isIpv4 = this.isIpv4;
    if ((protocol == Protocol.ICMP) != isIpv4) return DropReason.unsupportedIcmp;
    if (transportLength < ICMP_HEADER) return DropReason.truncatedTransport;
    const icmp = Icmp.at(this.transportAt);
    this.protocol = <u8>Protocol.ICMP;
    this.payloadAt = this.transportAt + ICMP_HEADER;
    if (icmp.isError(isIpv4)) {
      this.setWhole(PacketKind.error);
      this.ports = 0;
      return this.quoted.parseQuoted(this.payloadAt, this.end, isIpv4) ? DropReason.none : DropReason.badIcmpError;
    }
    const isRequest = icmp.isEchoRequest(isIpv4);
    if (!isRequest && !icmp.isEchoReply(isIpv4)) return DropReason.unsupportedIcmp;
    this.setEcho(icmp, isRequest);
    return DropReason.none;
  }

  private setEcho(icmp: Icmp, isRequest: bool): void {
    this.setWhole(PacketKind.echo);
    this.ports = isRequest ? <u32>icmp.identifier : (<u32>icmp.identifier) << 16;
  }

  /**
   * The same for a packet that an ICMP error quotes, of which the end may be missing. False: it does not say enough.
   */
  private parseQuoted(at: u32, end: u32, isIpv4: bool): bool {
    const available = end - at;
    this.at = at;
    this.length = available;
    this.end = end;
    this.isIpv4 = isIpv4;
    this.flags = 0;
    if (available == 0 || load<u8>(at) >>> 4 != (isIpv4 ? 4 : 6)) return false;
    if (!(isIpv4 ? this.parseQuotedIpv4() : this.parseQuotedIpv6())) return false;
    if (this.transportAt + QUOTED_TRANSPORT_MIN > end) return false;
    this.payloadAt = this.transportAt + QUOTED_TRANSPORT_MIN;
    return this.parseQuotedTransport();
  }

  private parseQuotedIpv4(): bool {
    if (this.length < IPV4_MIN_HEADER) return false;
    const ip = Ipv4.at(this.at);
    const headerLength = ip.headerLength;
    if (headerLength < IPV4_MIN_HEADER || ip.fragmentOffset != 0) return false;
    this.source = v4Mapped(ip.source);
    this.destination = v4Mapped(ip.destination);
    this.protocol = ip.protocol;
    this.transportAt = this.at + headerLength;
    return true;
  }

  private parseQuotedIpv6(): bool {
    if (this.length < IPV6_HEADER) return false;
    const ip = Ipv6.at(this.at);
    const found = walkExtensions(ip.nextHeader, this.at + IPV6_HEADER, this.end);
    if (found == NO_UPPER) return false;
    const before = fragmentHeaderBefore(found);
    if (before != 0) {
      const header = FragmentHeader.at(upperAt(found) - before);
      if (header.offset != 0) return false;
      this.fragmentOffset = 0;
      this.hasMore = header.hasMore;
      this.fragmentId = header.identification;
    }
    this.source = neverV4(ip.source);
    this.destination = neverV4(ip.destination);
    this.protocol = upperProtocol(found);
    this.transportAt = upperAt(found);
    return true;
  }

  private parseQuotedTransport(): bool {
    const protocol = this.protocol;
    if (protocol == Protocol.TCP || protocol == Protocol.UDP) {
      // Without the checksum there are only ports and addresses to change.
      const isCut = protocol == Protocol.TCP && this.transportAt + TCP_CHECKSUM + 2 > this.end;
      this.setWhole(isCut ? PacketKind.laterFragment : PacketKind.transport);
      this.ports = load<u32>(this.transportAt);
      return true;
    }
    if (protocol != Protocol.ICMP && protocol != Protocol.ICMPV6) {
      this.setWhole(PacketKind.portless);
      this.ports = 0;
      // What comes behind a packet that ends before its checksum is none of it.
      const told = this.isIpv4 ? Ipv4.at(this.at).totalLength : IPV6_HEADER + Ipv6.at(this.at).payloadLength;
      this.length = max(min(this.length, told), this.transportAt - this.at);
      return true;
    }
    const icmp = Icmp.at(this.transportAt);
    const isRequest = icmp.isEchoRequest(this.isIpv4);
    if ((protocol == Protocol.ICMP) != this.isIpv4 || (!isRequest && !icmp.isEchoReply(this.isIpv4))) return false;
    this.protocol = <u8>Protocol.ICMP;
    this.setEcho(icmp, isRequest);
    return true;
  }
}

/** `address` in network order, as in a packet. */
export function v4Mapped(address: u32): v128 {
  return i32x4.replace_lane(i32x4(0, 0, V4_MAPPED_LANE_2, 0), 3, address);
}

/** Whether later fragments with this protocol do not show all that their flow is known by. */
function isKnownByFirst(protocol: u8, isIpv4: bool): bool {
  switch (<u32>protocol) {
    case Protocol.TCP:
    case Protocol.UDP:
    case Protocol.ICMP:
    case Protocol.ICMPV6:
      return true;
    default:
      return !isIpv4 && isExtensionHeader(protocol);
  }
}

/**
 * A v4-mapped address must not be in an IPv6 header (draft-itojun-v6ops-v4mapped-harmful), and would be taken for
 * the IPv4 address, whose form it has in the tables. It becomes ::, which no table holds.
 */
function neverV4(address: v128): v128 {
  const isV4Mapped = i64x2.extract_lane(address, 0) == 0 && <u32>i32x4.extract_lane(address, 2) == V4_MAPPED_LANE_2;
  return isV4Mapped ? i64x2.splat(0) : address;
}
