// What a client is told when its packet goes nowhere: an ICMP error as a router would send it (RFC 1812 section 4.3.2,
// RFC 4443 section 2.4), or a TCP reset. Written to the TUN, from the address that the client called.
// To be called before the packet is rewritten: it is quoted where it is.

import { count } from "../area/count.ts";
import { workerAt } from "../area/regions.ts";
import { pseudoHeaderSum } from "../checksum/pseudo-header.ts";
import { fold, sum } from "../checksum/sum.ts";
import * as IcmpCode from "../family/icmp-type.ts";
import { takeHeader } from "../queue/arena.ts";
import { sumStart } from "../queue/parts.ts";
import { writeParts, writeQuote } from "../queue/tun.ts";
import * as Header from "../record/header.ts";
import { WorkerArea } from "../record/worker.ts";
import { Counter } from "../shared/counters.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import { AnswerShare } from "../shared/layout/worker.ts";
import * as Protocol from "../shared/protocol.ts";
import { DropReason } from "../shared/verdicts.ts";
import * as Virtio from "../shared/virtio.ts";
import { findWorkload, isInServiceRange, isNoAddress, isV4Mapped, sameAddress } from "../table/address.ts";
import {
  ICMP_HEADER,
  ICMP_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_UNREACHABLE,
  Icmp,
} from "../wire/icmp.ts";
import { IPV4_MIN_HEADER, Ipv4 } from "../wire/ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "../wire/ipv6.ts";
import { Packet, PacketKind } from "../wire/packet.ts";
import { TCP_ACK, TCP_MIN_HEADER, TCP_RST, TCP_SYN, Tcp } from "../wire/tcp.ts";

/** RFC 1812 section 4.3.2.3: as much of the packet as fits 576 bytes; RFC 4443 section 2.4 (c): 1,280. */
const QUOTED_MAX_V4: u32 = 576 - IPV4_MIN_HEADER - ICMP_HEADER;
const QUOTED_MAX_V6: u32 = 1280 - IPV6_HEADER - ICMP_HEADER;
/** RFC 1812 section 4.3.2.5: precedence "internetwork control". */
const TOS: u8 = 0xc0;
const HOP_LIMIT: u8 = 64;

// RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f): token buckets, in thousandths of an answer. What tells an MTU or
// resets a connection lets traffic go on, so it gets more; who is no workload takes nothing from those that are.
const COST: u32 = 1000;
const RATE: u32 = 100; // a second, or thousandths a millisecond
const BURST: u32 = 50 * COST;
const URGENT_RATE: u32 = 1000;
const URGENT_BURST: u32 = 1000 * COST;
const REFILL_MAX_MS: u32 = 1000; // all buckets are full by then

/** The answer in the making: its virtio_net_hdr. */
let answerAt: usize = 0;

/** Answers a client's packet that was dropped for this reason; `mtu` is what DropReason.tooBig is about. */
export function answerDrop(packet: Packet, reason: DropReason, mtu: u32, nowMs: u32): void {
  switch (reason) {
    case DropReason.nodeUnreachable:
      if (isLostReset(packet)) {
        if (mayAnswer(packet, HeaderLayout.ANSWER_LOST_WITH_RESET, AnswerShare.urgent, nowMs)) reset(packet);
        return;
      }
      return unreachable(packet, IcmpCode.HOST_UNREACHABLE, IcmpCode.ADDRESS_UNREACHABLE, nowMs);
    case DropReason.unknownAddress:
    case DropReason.noInstance:
      return unreachable(packet, IcmpCode.HOST_UNREACHABLE, IcmpCode.ADDRESS_UNREACHABLE, nowMs);
    case DropReason.notServiceAddress:
    case DropReason.noNode:
    case DropReason.noAddressOfFamily:
      return unreachable(packet, IcmpCode.NETWORK_UNREACHABLE, IcmpCode.NO_ROUTE, nowMs);
    case DropReason.unknownWorkload:
      if (!isFromHost(packet) || !claimAnswer(packet, HeaderLayout.ANSWER_WITH_ICMP, AnswerShare.stranger, nowMs))
        return;
      if (packet.isIpv4) return quote(packet, ICMP_UNREACHABLE, IcmpCode.PROHIBITED, 0);
      return quote(packet, ICMPV6_UNREACHABLE, IcmpCode.ADMINISTRATIVELY, 0);
    case DropReason.tooBig:
      if (!mayAnswer(packet, HeaderLayout.ANSWER_WITH_ICMP, AnswerShare.urgent, nowMs)) return;
      if (packet.isIpv4) return quote(packet, ICMP_UNREACHABLE, IcmpCode.FRAGMENTATION_NEEDED, mtu);
      return quote(packet, ICMPV6_PACKET_TOO_BIG, 0, mtu);
    case DropReason.sourceRoute:
      if (!mayAnswer(packet, HeaderLayout.ANSWER_WITH_ICMP, AnswerShare.ordinary, nowMs)) return;
      if (packet.isIpv4) return quote(packet, ICMP_UNREACHABLE, IcmpCode.SOURCE_ROUTE_FAILED, 0);
      return quote(packet, ICMPV6_PARAMETER_PROBLEM, 0, packet.segmentsLeftAt - packet.at);
    case DropReason.instanceGone:
      if (mayAnswer(packet, HeaderLayout.ANSWER_WITH_RESET, AnswerShare.urgent, nowMs)) reset(packet);
  }
}

/** Whether a client gets a reset when its instance is gone, for this packet of its flow. */
export function isReset(packet: Packet): bool {
  return isMidStream(packet) && (Header.answers.value & HeaderLayout.ANSWER_WITH_RESET) != 0;
}

/** The same when the node of its instance is lost. */
export function isLostReset(packet: Packet): bool {
  return isMidStream(packet) && (Header.answers.value & HeaderLayout.ANSWER_LOST_WITH_RESET) != 0;
}

/**
 * A SYN-ACK. Its server would give up the connection, which its client may have open by then (Linux does at "host
 * unreachable": tcp_req_err() in net/ipv4/tcp_ipv4.c). Told nothing, it repeats the segment, and may be heard.
 */
function isOpeningAnswer(packet: Packet): bool {
  return packet.protocol == Protocol.TCP && (packet.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
}

function isMidStream(packet: Packet): bool {
  return packet.protocol == Protocol.TCP && (packet.flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK;
}

function unreachable(packet: Packet, code: u32, codeV6: u32, nowMs: u32): void {
  if (isOpeningAnswer(packet)) return;
  if (!mayAnswer(packet, HeaderLayout.ANSWER_WITH_ICMP, AnswerShare.ordinary, nowMs)) return;
  if (packet.isIpv4) quote(packet, ICMP_UNREACHABLE, code, 0);
  else quote(packet, ICMPV6_UNREACHABLE, codeV6, 0);
}

/** Only workloads of this node get an answer. Other senders are told no more than that they are none. */
function mayAnswer(packet: Packet, how: u32, share: AnswerShare, nowMs: u32): bool {
  return findWorkload(packet.sourceAt) != 0 && claimAnswer(packet, how, share, nowMs);
}

/**
 * Takes one answer out of the sender's budget. False: there is none left, or there must be no answer.
 * RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e): nothing about an ICMP error, a later fragment or a packet to a
 * group. Nor to an address that no answer may come from.
 */
function claimAnswer(packet: Packet, how: u32, share: AnswerShare, nowMs: u32): bool {
  if ((Header.answers.value & how) == 0) return false;
  if (packet.kind == PacketKind.error || packet.kind == PacketKind.laterFragment) return false;
  if (packet.isFragment && packet.fragmentOffset != 0) return false;
  if (!isToHost(packet)) return false;
  if (takeToken(share, nowMs)) return true;
  count(Counter.icmpErrorsLimited, 1);
  return false;
}

/**
 * Whether the source is a single host's address outside of the service ranges (RFC 1122 section 3.2.1.3, RFC 4291
 * sections 2.5.2 and 2.5.3): neither a group, a loopback address nor unspecified. Answers to one inside of the ranges
 * would come back into the TUN.
 */
function isFromHost(packet: Packet): bool {
  if (isInServiceRange(packet.source)) return false;
  if (packet.isIpv4) {
    const first = load<u8>(packet.at, 12);
    return first != 0 && first < 224 && first != 127;
  }
  const isLoopback = sameAddress(packet.source, i64x2(0, 1 << 56));
  return load<u8>(packet.at, 8) != 0xff && !isLoopback && !isNoAddress(packet.source) && !isV4Mapped(packet.source);
}

/**
 * Neither a group nor unspecified (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.2), which IPv4 in IPv6 is parsed as.
 */
function isToHost(packet: Packet): bool {
  if (packet.isIpv4) return load<u8>(packet.at, 16) != 0 && load<u8>(packet.at, 16) < 224;
  return load<u8>(packet.at, 24) != 0xff && !isNoAddress(packet.destination);
}

function takeToken(share: AnswerShare, nowMs: u32): bool {
  const area = WorkerArea.at(workerAt);
  const elapsedMs = min(nowMs - area.answersRefilledMs.value, REFILL_MAX_MS);
  area.answersRefilledMs.value = nowMs;
  refill(AnswerShare.ordinary, elapsedMs * RATE, BURST);
  refill(AnswerShare.urgent, elapsedMs * URGENT_RATE, URGENT_BURST);
  refill(AnswerShare.stranger, elapsedMs * RATE, BURST);
  const tokens = area.answerTokens(share);
  if (tokens < COST) return false;
  area.setAnswerTokens(share, tokens - COST);
  return true;
}

function refill(share: AnswerShare, tokens: u32, most: u32): void {
  const area = WorkerArea.at(workerAt);
  area.setAnswerTokens(share, min(area.answerTokens(share) + tokens, most));
}

/** Queues an ICMP error about the packet. `word` is the one behind the checksum, in host order. */
function quote(packet: Packet, type: u32, code: u32, word: u32): void {
  const quoted = min(packet.length, packet.isIpv4 ? QUOTED_MAX_V4 : QUOTED_MAX_V6);
  const protocol = <u8>(packet.isIpv4 ? Protocol.ICMP : Protocol.ICMPV6);
  const at = startAnswer(packet, protocol, ICMP_HEADER, quoted);
  const icmp = Icmp.at(at);
  icmp.type = <u8>type;
  icmp.code = <u8>code;
  icmp.checksum = 0;
  icmp.word = word;
  let total = sum(at, ICMP_HEADER) + sumStart(packet, quoted);
  // RFC 792: the message alone; RFC 4443 section 2.3: the pseudo-header as well.
  if (!packet.isIpv4) total += pseudoHeaderSum(packet.source, packet.destination, protocol, ICMP_HEADER + quoted);
  icmp.checksum = <u16>~fold(total);
  writeQuote(answerAt, <u32>(at + ICMP_HEADER - answerAt), packet, quoted);
  count(Counter.icmpErrorsSent, 1);
}

/**
 * Queues the reset with which a host answers a segment of a connection that it does not know (RFC 9293 section
 * 3.10.7.1).
 */
function reset(packet: Packet): void {
  const protocol = <u8>Protocol.TCP;
  const received = Tcp.at(packet.transportAt);
  const at = startAnswer(packet, protocol, TCP_MIN_HEADER, 0);
  Tcp.at(at).start(received.destinationPort, received.sourcePort, bswap<u32>(received.acknowledgment), <u8>TCP_RST);
  const pseudoHeader = pseudoHeaderSum(packet.source, packet.destination, protocol, TCP_MIN_HEADER);
  Tcp.at(at).checksum = <u16>~fold(pseudoHeader + sum(at, TCP_MIN_HEADER));
  writeParts(answerAt, <u32>(at + TCP_MIN_HEADER - answerAt), 0, 0);
  count(Counter.resetsSent, 1);
}

/** Writes the IP header, back to the client; returns where the `headerLength` bytes behind it begin. */
function startAnswer(packet: Packet, protocol: u8, headerLength: u32, bodyLength: u32): usize {
  const ipLength = packet.isIpv4 ? IPV4_MIN_HEADER : IPV6_HEADER;
  answerAt = takeHeader(Virtio.SIZE + ipLength + headerLength);
  const at = answerAt + Virtio.SIZE;
  if (packet.isIpv4) {
    const ip = Ipv4.at(at);
    ip.start(TOS, ipLength + headerLength + bodyLength, 0, false, HOP_LIMIT, protocol);
    ip.source = i32x4.extract_lane(packet.destination, 3);
    ip.destination = i32x4.extract_lane(packet.source, 3);
    ip.checksum = <u16>~fold(sum(at, ipLength));
  } else {
    const ip = Ipv6.at(at);
    ip.start(0, headerLength + bodyLength, protocol, HOP_LIMIT);
    ip.source = packet.destination;
    ip.destination = packet.source;
  }
  return at + ipLength;
}
