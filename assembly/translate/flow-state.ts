// What a packet does to its flow's state. Times out by state, so the state follows the protocol:
// RFC 9293 section 3.3.2 as seen from the middle, RFC 4787 section 4.3 for UDP, RFC 5508 section 3.2 for ICMP.

import {
  FLOW_FORWARD_PACKETS,
  FLOW_LAST_USED_MS,
  FLOW_REVERSE_PACKETS,
  FLOW_SEEN,
  FLOW_SEEN_FIN_FORWARD,
  FLOW_SEEN_FIN_REVERSE,
  FLOW_SEEN_REPLY,
  FLOW_STATE,
  FlowState,
} from "../shared/layout.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "../shared/protocols.ts";
import { setState } from "../table/flow.ts";
import { Packet, PacketKind } from "../wire/packet.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../wire/tcp.ts";

const FIN_BOTH = FLOW_SEEN_FIN_FORWARD | FLOW_SEEN_FIN_REVERSE;

/** State of a flow that begins with this packet of its client. */
export function firstState(packet: Packet): u32 {
  if (packet.protocol == IPPROTO_UDP) return FlowState.udpUnreplied;
  if (packet.kind == PacketKind.echo) return FlowState.icmpQuery;
  if (packet.protocol != IPPROTO_TCP) return FlowState.otherUnreplied;
  return nextTcpState(FlowState.tcpOpening, packet.flags, firstSeen(packet));
}

/** FLOW_SEEN bits of a flow that begins with this packet. */
export function firstSeen(packet: Packet): u32 {
  return packet.flags & TCP_FIN ? FLOW_SEEN_FIN_FORWARD : 0;
}

/** A new connection on the ports of one that is over. */
export function isRestart(flow: usize, packet: Packet): bool {
  return load<u8>(flow, FLOW_STATE) == FlowState.tcpClosed && (packet.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

export function seenForward(flow: usize, packet: Packet, segments: u32, nowMs: u32): void {
  store<u32>(flow, load<u32>(flow, FLOW_FORWARD_PACKETS) + segments, FLOW_FORWARD_PACKETS);
  see(flow, packet, packet.flags & TCP_FIN ? FLOW_SEEN_FIN_FORWARD : 0, nowMs);
}

export function seenReverse(flow: usize, packet: Packet, segments: u32, nowMs: u32): void {
  store<u32>(flow, load<u32>(flow, FLOW_REVERSE_PACKETS) + segments, FLOW_REVERSE_PACKETS);
  see(flow, packet, packet.flags & TCP_FIN ? FLOW_SEEN_REPLY | FLOW_SEEN_FIN_REVERSE : FLOW_SEEN_REPLY, nowMs);
}

function see(flow: usize, packet: Packet, what: u32, nowMs: u32): void {
  store<u32>(flow, nowMs, FLOW_LAST_USED_MS);
  const before: u32 = load<u8>(flow, FLOW_SEEN);
  const seen = before | what;
  // Another worker may be seeing the other direction.
  if (seen != before) atomic.or<u8>(flow, <u8>what, FLOW_SEEN);
  const state: u32 = load<u8>(flow, FLOW_STATE);
  const next = packet.protocol == IPPROTO_TCP ? nextTcpState(state, packet.flags, seen) : nextState(state, seen);
  if (next != state) setState(flow, state, next);
}

/** Of protocols that do not say when a conversation begins and ends. */
function nextState(state: u32, seen: u32): u32 {
  if ((seen & FLOW_SEEN_REPLY) == 0) return state;
  if (state == FlowState.udpUnreplied) return FlowState.udpStream;
  return state == FlowState.otherUnreplied ? FlowState.otherStream : state;
}

function nextTcpState(state: u32, flags: u32, seen: u32): u32 {
  if (state == FlowState.free || state == FlowState.tcpClosed) return state;
  if (flags & TCP_RST || (seen & FIN_BOTH) == FIN_BOTH) return FlowState.tcpClosed;
  if (seen & FIN_BOTH) return FlowState.tcpHalfClosed;
  const isEstablished = (flags & (TCP_ACK | TCP_SYN)) == TCP_ACK && (seen & FLOW_SEEN_REPLY) != 0;
  return state == FlowState.tcpOpening && isEstablished ? FlowState.tcpEstablished : state;
}
