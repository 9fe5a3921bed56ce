// What a packet does to its flow's state. Times out by state, so the state follows the protocol:
// RFC 9293 section 3.3.2 as seen from the middle, RFC 4787 section 4.3 for UDP, RFC 5508 section 3.2 for ICMP.
//
// A reset may be forged or stray. It closes the flow only within the window that its receiver announced (RFC 5961
// section 3.2), and not for good: if both sides go on, the connection lives (RFC 6146 section 3.5.2.2). Of a connection
// that both sides closed nothing comes back.

import { Flow } from "../record/flow.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import { FlowState } from "../shared/layout/flow.ts";
import { OutlierCause } from "../shared/layout/outlier.ts";
import * as Protocol from "../shared/protocol.ts";
import { setState } from "../table/flow-state.ts";
import { noteAnswered, noteFailed } from "../table/outlier.ts";
import { Packet, PacketKind } from "../wire/packet.ts";
import {
  findOption,
  TCP_ACK,
  TCP_ACKNOWLEDGMENT,
  TCP_FIN,
  TCP_MIN_HEADER,
  TCP_OPTION_WINDOW_SCALE,
  TCP_OPTION_WINDOW_SCALE_LENGTH,
  TCP_RST,
  TCP_SYN,
  Tcp,
} from "../wire/tcp.ts";

const FIN_BOTH: u32 = FlowLayout.SEEN_FIN_FORWARD | FlowLayout.SEEN_FIN_REVERSE;
const LIFE_BOTH: u32 = FlowLayout.SEEN_LIFE_FORWARD | FlowLayout.SEEN_LIFE_REVERSE;
/** Flags of a segment that begins or ends something. */
const TURNS: u32 = TCP_SYN | TCP_FIN | TCP_RST;
/** RFC 7323 section 2.3 */
const SCALE_MAX: u32 = 14;

/** State of a flow that begins with this packet of its client. */
export function firstState(packet: Packet): u32 {
  if (packet.protocol == Protocol.UDP) return FlowState.udpUnreplied;
  if (packet.kind == PacketKind.echo) return FlowState.icmpQuery;
  return packet.protocol == Protocol.TCP ? FlowState.tcpOpening : FlowState.otherUnreplied;
}

/** What is known of TCP before the first packet: nothing. */
export function forgetTcp(flow: usize): void {
  Flow.at(flow).windowScales = <u8>((FlowLayout.SCALE_UNKNOWN << 4) | FlowLayout.SCALE_UNKNOWN);
  Flow.at(flow).forwardTcp = 0;
  Flow.at(flow).reverseTcp = 0;
}

/** A new connection on the ports of one that is over. */
export function isRestart(flow: usize, packet: Packet): bool {
  return Flow.at(flow).state == FlowState.tcpClosed && (packet.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

export function seenForward(flow: usize, packet: Packet, segments: u32, nowMs: u32): void {
  Flow.at(flow).lastUsedMs = nowMs;
  Flow.at(flow).forwardPackets = Flow.at(flow).forwardPackets + segments;
  if (packet.protocol != Protocol.TCP) return;
  const state: u32 = Flow.at(flow).state;
  if (state == FlowState.tcpClosed || (packet.flags & TURNS) != 0) return turn(flow, packet, state, true);
  noteWindow(packet, flow + FlowLayout.FORWARD_TCP);
  if (state == FlowState.tcpOpening) establish(flow, packet, Flow.at(flow).seen);
}

export function seenReverse(flow: usize, packet: Packet, segments: u32, nowMs: u32): void {
  Flow.at(flow).lastUsedMs = nowMs;
  Flow.at(flow).reversePackets = Flow.at(flow).reversePackets + segments;
  see(flow, FlowLayout.SEEN_REPLY);
  const state: u32 = Flow.at(flow).state;
  if (packet.protocol != Protocol.TCP) {
    if (state == FlowState.udpUnreplied) {
      setState(flow, state, FlowState.udpStream);
      noteAnswered(flow, nowMs);
    }
    if (state == FlowState.otherUnreplied) setState(flow, state, FlowState.otherStream);
    return;
  }
  if (state == FlowState.tcpClosed || (packet.flags & TURNS) != 0) {
    if (state == FlowState.tcpOpening) noteOutcome(flow, packet, nowMs);
    return turn(flow, packet, state, false);
  }
  noteWindow(packet, flow + FlowLayout.REVERSE_TCP);
  if (state == FlowState.tcpOpening) establish(flow, packet, FlowLayout.SEEN_REPLY);
}

/**
 * How an opening ends. A reset is an answer to the client's SYN if it acknowledges that, and the client sent no more
 * (RFC 9293 section 3.10.7.1): one to a segment that the client made up says nothing of the port.
 */
function noteOutcome(flow: usize, packet: Packet, nowMs: u32): void {
  const kind = packet.flags & (TCP_SYN | TCP_ACK | TCP_RST);
  if (kind == (TCP_SYN | TCP_ACK)) noteAnswered(flow, nowMs);
  else if (kind == (TCP_RST | TCP_ACK) && Flow.at(flow).forwardTcp == 0) noteFailed(flow, OutlierCause.refused, nowMs);
}

/** Another worker may be seeing the other direction. */
function see(flow: usize, what: u32): void {
  if ((Flow.at(flow).seen & what) != what) Flow.at(flow).orSeen(<u8>what);
}

function establish(flow: usize, packet: Packet, seen: u32): void {
  const isEstablished = (packet.flags & TCP_ACK) != 0 && (seen & FlowLayout.SEEN_REPLY) != 0;
  if (isEstablished) setState(flow, FlowState.tcpOpening, FlowState.tcpEstablished);
}

/** Acknowledgment and window of a segment, as they are in the packet. */
function noteWindow(packet: Packet, at: usize): void {
  if (packet.flags & TCP_ACK) store<u64>(at, Tcp.at(packet.transportAt).acknowledgmentToWindow);
}

/** A segment that begins or ends something, or that comes after the end. */
function turn(flow: usize, packet: Packet, state: u32, isForward: bool): void {
  if (state == FlowState.free) return; // another worker ends the flow
  if (packet.flags & TCP_RST) {
    if (isInWindow(flow, packet, isForward)) close(flow, state);
    return;
  }
  if (packet.flags & TCP_SYN) begin(flow, packet, state, isForward);
  noteWindow(packet, flow + (isForward ? FlowLayout.FORWARD_TCP : FlowLayout.REVERSE_TCP));
  if (packet.flags & TCP_FIN) see(flow, isForward ? FlowLayout.SEEN_FIN_FORWARD : FlowLayout.SEEN_FIN_REVERSE);
  if (state == FlowState.tcpClosed) see(flow, isForward ? FlowLayout.SEEN_LIFE_FORWARD : FlowLayout.SEEN_LIFE_REVERSE);
  const now: u32 = Flow.at(flow).state;
  const next = stateAfter(now, Flow.at(flow).seen);
  if (next != now) setState(flow, now, next);
}

/** The state of a flow that was not reset just now. */
function stateAfter(state: u32, seen: u32): u32 {
  if ((seen & FIN_BOTH) == FIN_BOTH) return FlowState.tcpClosed;
  if (state == FlowState.tcpClosed && (seen & LIFE_BOTH) != LIFE_BOTH) return state;
  if (seen & FIN_BOTH) return FlowState.tcpHalfClosed;
  return state == FlowState.tcpClosed ? FlowState.tcpEstablished : state;
}

/** Both sides have to show that they live on. */
function close(flow: usize, state: u32): void {
  Flow.at(flow).andSeen(<u8>~LIFE_BOTH);
  if (state != FlowState.tcpClosed) setState(flow, state, FlowState.tcpClosed);
}

/**
 * A SYN. On a flow that is half closed its client has begun anew, and its server will, or says that it has not: the
 * FINs were of the connection before.
 */
function begin(flow: usize, packet: Packet, state: u32, isForward: bool): void {
  noteScale(flow, packet, isForward);
  if (!isForward || (packet.flags & TCP_ACK) != 0 || state != FlowState.tcpHalfClosed) return;
  Flow.at(flow).andSeen(<u8>~(FIN_BOTH | FlowLayout.SEEN_REPLY));
  setState(flow, state, FlowState.tcpOpening);
}

/** Windows are scaled only if both sides say so (RFC 7323 section 2.2). */
function noteScale(flow: usize, packet: Packet, isForward: bool): void {
  const optionsAt = packet.transportAt + TCP_MIN_HEADER;
  const option = findOption(optionsAt, packet.payloadAt, TCP_OPTION_WINDOW_SCALE, TCP_OPTION_WINDOW_SCALE_LENGTH);
  const scale: u32 = option == 0 ? 0 : min<u32>(SCALE_MAX, load<u8>(option, 2));
  const before: u32 = Flow.at(flow).windowScales;
  let scales = isForward ? (before & 0xf0) | scale : (before & 0x0f) | (scale << 4);
  if (option == 0 && (packet.flags & TCP_ACK) != 0) scales = 0;
  Flow.at(flow).windowScales = <u8>scales;
}

/** Whether the receiver of a segment takes its sequence number, as far as one knows what it takes. */
function isInWindow(flow: usize, packet: Packet, isForward: bool): bool {
  const last = flow + (isForward ? FlowLayout.REVERSE_TCP : FlowLayout.FORWARD_TCP);
  if (load<u64>(last) == 0) return true;
  const receiver = Tcp.at(last - TCP_ACKNOWLEDGMENT);
  const scales: u32 = Flow.at(flow).windowScales;
  const scale = min<u32>(SCALE_MAX, isForward ? scales >>> 4 : scales & 15); // unknown: the largest
  const isScaled = (receiver.flags & TCP_SYN) == 0;
  const window = (<u32>bswap<u16>(receiver.window)) << (isScaled ? scale : 0);
  return Tcp.at(packet.transportAt).sequence - bswap<u32>(receiver.acknowledgment) <= window;
}
