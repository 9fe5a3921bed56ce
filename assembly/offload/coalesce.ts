// Coalescing (GRO): packets of one flow that follow each other become one super-packet, written to the TUN at once.
// The payloads stay where they are; the first packet's headers become those of the super-packet.
//
// The kernel will not verify a super-packet, so all that is joined is verified here. A packet that stays by itself is
// not: whoever receives it verifies it.
// Only the frame that was queued last can grow. Packets of one flow come in a row: the sending node segments a whole
// super-packet at a time, and the kernel's UDP_GRO joins only what arrived in a row.
// What is joined here is, when it is cut again, byte for byte what came.

import { lengthSum } from "../checksum/pseudo-header.ts";
import { fold, sum } from "../checksum/sum.ts";
import { nextIovecAt } from "../queue/arena.ts";
import { extendFrame, writePacket } from "../queue/tun.ts";
import * as Header from "../record/header.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import * as Protocol from "../shared/protocol.ts";
import { UDP_SEGMENTS_MAX } from "../shared/sockets.ts";
import * as Virtio from "../shared/virtio.ts";
import { IPV4_MIN_HEADER, Ipv4 } from "../wire/ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";
import { TCP_CHECKSUM, Tcp } from "../wire/tcp.ts";
import { UDP_CHECKSUM, Udp } from "../wire/udp.ts";
import { VirtioNet } from "../wire/virtio-net.ts";
import { canFollowTcp, canJoinTcp, endsTcp } from "./coalesce-tcp.ts";
import { checksumAt, sumCovered } from "./finish.ts";

/** Total length is a 16-bit field in both families. */
const LENGTH_MAX: u32 = 65535;
/** writev takes 1,024 iovecs (UIO_MAXIOV), two of which hold the virtio_net_hdr and the first segment. */
const TCP_SEGMENTS_MAX: u32 = 1023;

// The frame that may still grow; headAt = 0: none may.
let headAt: u32 = 0; // IP header of its first packet
let frameEnd: usize = 0; // after its last iovec; an iovec elsewhere is not its own
let headTransportAt: u32 = 0;
let headEnd: u32 = 0; // of its transport header
let headPayloadAt: u32 = 0; // payload of its first packet
let isHeadVerified: bool = false;
let headProtocol: u8 = 0;
let headIsIpv4: bool = false;
let virtioAt: usize = 0;
let segmentSize: u32 = 0; // payload of every packet but the last
let payloadLength: u32 = 0; // of all packets
let segments: u32 = 0;
let lastFlags: u8 = 0;

/** Queues a packet for the TUN, as part of the last frame where it fits. */
export function deliver(packet: Packet): void {
  if (!canJoin(packet)) {
    finishFrame();
    writePacket(packet);
    return;
  }
  const length = packet.payloadLength;
  const isVerified = headAt != 0 && follows(packet, length) && isChecksumRight(packet);
  if (isVerified && (isHeadVerified || isHeadRight())) {
    isHeadVerified = true;
    extendFrame(packet);
    frameEnd = nextIovecAt();
    payloadLength += length;
    segments++;
    lastFlags = packet.flags;
  } else {
    finishFrame();
    start(packet, length);
    isHeadVerified = isVerified;
  }
  // A shorter packet can only be the last, and PSH says that it is.
  if (length < segmentSize || endsTcp(packet)) finishFrame();
}

/** Writes the headers of the frame that could still grow. To be called when a batch ends. */
export function finishFrame(): void {
  if (headAt == 0) return;
  if (segments > 1) finishHeaders();
  headAt = 0;
}

function start(packet: Packet, length: u32): void {
  virtioAt = writePacket(packet);
  frameEnd = nextIovecAt();
  headAt = packet.at;
  headTransportAt = packet.transportAt;
  headEnd = packet.at + packet.headerLength;
  headPayloadAt = packet.payloadAt;
  headProtocol = packet.protocol;
  headIsIpv4 = packet.isIpv4;
  segmentSize = length;
  payloadLength = length;
  segments = 1;
  lastFlags = packet.flags;
}

/** Whether the packet may be part of a super-packet at all. */
function canJoin(packet: Packet): bool {
  if (!packet.isPlain) return false;
  const offload = packet.protocol == Protocol.TCP ? HeaderLayout.OFFLOAD_TUN_TCP : HeaderLayout.OFFLOAD_TUN_UDP;
  if ((Header.offloads.value & offload) == 0) return false;
  if (packet.payloadLength == 0) return false; // no payload, nothing to gain
  // Segmentation would repeat IPv4 options and IPv6 extension headers.
  if (packet.isIpv4 ? !isPlainIpv4(packet) : packet.transportAt - packet.at != IPV6_HEADER) return false;
  return packet.protocol == Protocol.TCP ? canJoinTcp(packet) : canJoinUdp(packet);
}

/**
 * No options, and a header checksum that is right: it is made anew.
 * All ones are as right as zero, but never come out of a sum.
 */
function isPlainIpv4(packet: Packet): bool {
  return (
    packet.transportAt - packet.at == IPV4_MIN_HEADER &&
    Ipv4.at(packet.at).checksum != 0xffff &&
    fold(sum(packet.at, IPV4_MIN_HEADER)) == 0xffff
  );
}

/** Whether the packet is the next of the frame that may grow. */
function follows(packet: Packet, length: u32): bool {
  if (nextIovecAt() != frameEnd || packet.protocol != headProtocol || packet.isIpv4 != headIsIpv4) return false;
  const segmentsMax = packet.protocol == Protocol.TCP ? TCP_SEGMENTS_MAX : <u32>UDP_SEGMENTS_MAX;
  if (segments == segmentsMax || length > segmentSize) return false;
  if (headEnd - headAt + payloadLength + length > LENGTH_MAX) return false;
  if (packet.headerLength != headEnd - headAt) return false; // more or fewer options
  if (!(packet.isIpv4 ? sameIpv4(packet) : sameIpv6(packet))) return false;
  return packet.protocol == Protocol.TCP
    ? canFollowTcp(packet, headTransportAt, headEnd, payloadLength)
    : load<u32>(headTransportAt) == packet.ports;
}

/** Segmentation gives every datagram a checksum and no options (RFC 9868), so that others must stay by themselves. */
function canJoinUdp(packet: Packet): bool {
  const udp = Udp.at(packet.transportAt);
  return udp.checksum != 0 && udp.length == packet.transportLength;
}

/** Same version, TOS, flags, TTL, protocol and addresses, and the next identification, as segmentation counts it. */
function sameIpv4(packet: Packet): bool {
  const at = packet.at;
  return (
    load<u16>(at) == load<u16>(headAt) &&
    Ipv4.at(at).identification == ((Ipv4.at(headAt).identification + segments) & 0xffff) &&
    load<u32>(at, 6) == load<u32>(headAt, 6) &&
    load<u64>(at, 12) == load<u64>(headAt, 12)
  );
}

/** Same traffic class, flow label, next header, hop limit and addresses. */
function sameIpv6(packet: Packet): bool {
  const at = packet.at;
  return (
    load<u32>(at) == load<u32>(headAt) &&
    load<u16>(at, 6) == load<u16>(headAt, 6) &&
    !v128.any_true(v128.xor(v128.load(at, 8), v128.load(headAt, 8))) &&
    !v128.any_true(v128.xor(v128.load(at, 24), v128.load(headAt, 24)))
  );
}

/** A right checksum makes the sum over everything that it covers, itself included, all ones (RFC 1071 section 1). */
function isChecksumRight(packet: Packet): bool {
  return fold(sumCovered(packet)) == 0xffff;
}

/** The same of the frame that may grow, as long as it has one packet. */
function isHeadRight(): bool {
  const headerLength = headEnd - headTransportAt;
  const total = headPseudoSum(headerLength + segmentSize) + sum(headTransportAt, headerLength);
  return fold(total + sum(headPayloadAt, segmentSize)) == 0xffff;
}

/** Of the frame that may grow, with a transport header and payload of this length. */
function headPseudoSum(transportLength: u32): u64 {
  const addresses = headIsIpv4 ? sum(headAt + 12, 8) : sum(headAt + 8, 32);
  return ((<u64>headProtocol) << 8) + lengthSum(transportLength) + addresses;
}

function finishHeaders(): void {
  const headerLength = headEnd - headAt;
  const transportLength = headEnd - headTransportAt + payloadLength;
  const isTcp = headProtocol == Protocol.TCP;
  const pseudo = headPseudoSum(transportLength);
  if (headIsIpv4) {
    const ip = Ipv4.at(headAt);
    ip.totalLength = headerLength + payloadLength;
    ip.checksum = 0;
    ip.checksum = <u16>~fold(sum(headAt, IPV4_MIN_HEADER));
  } else {
    Ipv6.at(headAt).payloadLength = headerLength - IPV6_HEADER + payloadLength;
  }
  if (isTcp) Tcp.at(headTransportAt).flags = lastFlags;
  else Udp.at(headTransportAt).length = transportLength;
  store<u16>(checksumAt(headTransportAt, headProtocol), <u16>fold(pseudo));

  const virtio = VirtioNet.at(virtioAt);
  virtio.flags = <u8>Virtio.F_NEEDS_CSUM;
  virtio.gsoType = <u8>(isTcp ? (headIsIpv4 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6) : Virtio.GSO_UDP_L4);
  virtio.headerLength = <u16>headerLength;
  virtio.gsoSize = <u16>segmentSize;
  virtio.csumStart = <u16>(headTransportAt - headAt);
  virtio.csumOffset = <u16>(isTcp ? TCP_CHECKSUM : UDP_CHECKSUM);
}
