// An IP packet, parsed once: its flow key and where each layer lies, or the reason why it is not forwarded.
// After parse() returned DropReason.none every accessor of the IP, TCP and UDP views is in bounds.

import { IPPROTO_TCP, IPPROTO_UDP } from "../shared/protocols.ts";
import { DropReason } from "../shared/verdicts.ts";
import { IPV4_MIN_HEADER, Ipv4 } from "./ipv4.ts";
import { IPV6_FRAGMENT, IPV6_HEADER, Ipv6 } from "./ipv6.ts";
import { TCP_MIN_HEADER, Tcp } from "./tcp.ts";
import { UDP_HEADER, Udp } from "./udp.ts";

// The v4-mapped prefix ::ffff:0:0/96 (RFC 4291 section 2.5.5.2), lanes 0...2 of an address.
const V4_MAPPED_LANE_2: u32 = 0xffff0000;

/** The packet in hand: one per worker, at WORKER_SCRATCH. */
@unmanaged
export class Packet {
  source: v128;
  destination: v128;
  /** Source and destination port, in network order, as one word. */
  ports: u32;
  /** Address of the first byte of the IP header. */
  at: u32;
  /** Of the IP packet; what came after it is not part of it. */
  length: u32;
  transportAt: u32;
  payloadAt: u32;
  protocol: u8;
  isIpv4: bool;
  /** TCP flags; 0 for UDP. */
  flags: u8;

  static at(ptr: usize): Packet {
    return changetype<Packet>(ptr);
  }

  get sourcePort(): u16 {
    return <u16>this.ports;
  }

  get destinationPort(): u16 {
    return <u16>(this.ports >>> 16);
  }

  get sourceAt(): usize {
    return changetype<usize>(this) + offsetof<Packet>("source");
  }

  get destinationAt(): usize {
    return changetype<usize>(this) + offsetof<Packet>("destination");
  }

  get end(): u32 {
    return this.at + this.length;
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
    if (ip.isFragment) return DropReason.fragment;
    this.isIpv4 = true;
    this.source = v4Mapped(ip.source);
    this.destination = v4Mapped(ip.destination);
    return this.parseTransport(ip.protocol, length, headerLength);
  }

  private parseIpv6(available: u32): DropReason {
    if (available < IPV6_HEADER) return DropReason.truncatedHeader;
    const ip = Ipv6.at(this.at);
    const length = IPV6_HEADER + ip.payloadLength;
    if (length > available) return DropReason.badTotalLength;
    if (ip.nextHeader == IPV6_FRAGMENT) return DropReason.fragment;
    this.isIpv4 = false;
    this.source = neverV4(ip.source);
    this.destination = neverV4(ip.destination);
    return this.parseTransport(ip.nextHeader, length, IPV6_HEADER);
  }

  private parseTransport(protocol: u8, length: u32, headerLength: u32): DropReason {
    this.length = length;
    this.protocol = protocol;
    const transportAt = this.at + headerLength;
    this.transportAt = transportAt;
    const transportLength = length - headerLength;
    if (protocol == IPPROTO_TCP) {
      if (transportLength < TCP_MIN_HEADER) return DropReason.truncatedTransport;
      const tcp = Tcp.at(transportAt);
      const tcpLength = tcp.headerLength;
      if (tcpLength < TCP_MIN_HEADER || tcpLength > transportLength) return DropReason.badTransportLength;
      this.payloadAt = transportAt + tcpLength;
      this.flags = tcp.flags;
    } else if (protocol == IPPROTO_UDP) {
      if (transportLength < UDP_HEADER) return DropReason.truncatedTransport;
      if (Udp.at(transportAt).length != transportLength) return DropReason.badTransportLength;
      this.payloadAt = transportAt + UDP_HEADER;
      this.flags = 0;
    } else {
      return DropReason.unsupportedProtocol;
    }
    this.ports = load<u32>(transportAt);
    return this.sourcePort == 0 || this.destinationPort == 0 ? DropReason.portZero : DropReason.none;
  }
}

/** `address` in network order, as it stands in a packet. */
export function v4Mapped(address: u32): v128 {
  return i32x4.replace_lane(i32x4(0, 0, V4_MAPPED_LANE_2, 0), 3, address);
}

/**
 * A v4-mapped address must not stand in an IPv6 header (draft-itojun-v6ops-v4mapped-harmful), and would be taken for
 * the IPv4 address, whose form it has in the tables. It becomes ::, which no table holds.
 */
function neverV4(address: v128): v128 {
  const isV4Mapped = i64x2.extract_lane(address, 0) == 0 && <u32>i32x4.extract_lane(address, 2) == V4_MAPPED_LANE_2;
  return isV4Mapped ? i64x2.splat(0) : address;
}
