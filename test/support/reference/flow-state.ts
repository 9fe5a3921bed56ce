// The slow twin's flow life: which state a flow is in after each packet (RFC 9293 section 3.3.2, RFC 6146 section
// 3.5.2, RFC 5961 section 3.2, seen from outside).

import { FlowState } from "../../../assembly/shared/layout/flow.ts";
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { FLAG } from "../packet-builder.ts";

/** What the twin reads of a TCP header. */
export interface TcpFacts {
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly window: number;
  /** Undefined: the segment has no such option. */
  readonly windowScale: number | undefined;
}

interface Side {
  fin: boolean;
  /** A segment came after a reset. */
  lives: boolean;
  /** What it said last with an ACK: from where on it takes bytes, and how many. Unscaled in a SYN. */
  takes: { readonly from: number; readonly window: number; readonly isScaled: boolean } | undefined;
  /** Of its SYN: undefined = not seen, 0 = it does not scale. */
  scale: number | undefined;
}

/** What both ends sent and how far the connection is. */
export interface FlowLife {
  state: FlowState;
  seenReply: boolean;
  readonly client: Side;
  readonly server: Side;
}

/** The life of a flow before its first packet was looked at. */
export function newLife(protocol: number): FlowLife {
  const side = (): Side => ({ fin: false, lives: false, takes: undefined, scale: undefined });
  return { state: firstState(protocol), seenReply: false, client: side(), server: side() };
}

function firstState(protocol: number): FlowState {
  if (protocol === Protocol.TCP) return FlowState.tcpOpening;
  if (protocol === Protocol.UDP) return FlowState.udpUnreplied;
  return protocol === Protocol.ICMP ? FlowState.icmpQuery : FlowState.otherUnreplied;
}

/** Takes one packet of the flow into account. */
export function observe(
  life: FlowLife,
  protocol: number,
  flags: number,
  tcp: TcpFacts | undefined,
  isReply: boolean,
): void {
  if (isReply) life.seenReply = true;
  if (protocol !== Protocol.TCP || tcp === undefined) {
    if (isReply && protocol !== Protocol.ICMP) {
      life.state = protocol === Protocol.UDP ? FlowState.udpStream : FlowState.otherStream;
    }
    return;
  }
  const [sender, receiver] = isReply ? [life.server, life.client] : [life.client, life.server];
  if (flags & FLAG.RST) {
    if (!isTaken(tcp, receiver)) return;
    sender.lives = false;
    receiver.lives = false;
    life.state = FlowState.tcpClosed;
    return;
  }
  if (flags & FLAG.SYN) {
    sender.scale = Math.min(14, tcp.windowScale ?? 0);
    // An answer without the option says that neither side scales.
    if (flags & FLAG.ACK && tcp.windowScale === undefined) receiver.scale = 0;
    if (!isReply && !(flags & FLAG.ACK) && life.state === FlowState.tcpHalfClosed) {
      // The client has begun anew.
      life.client.fin = false;
      life.server.fin = false;
      life.seenReply = false;
      life.state = FlowState.tcpOpening;
    }
  }
  if (flags & FLAG.ACK) {
    sender.takes = { from: tcp.acknowledgment, window: tcp.window, isScaled: (flags & FLAG.SYN) === 0 };
  }
  if (flags & FLAG.FIN) sender.fin = true;
  if (life.state === FlowState.tcpClosed) sender.lives = true;
  life.state = stateAfter(life, flags);
}

function stateAfter({ state, seenReply, client, server }: FlowLife, flags: number): FlowState {
  if (client.fin && server.fin) return FlowState.tcpClosed;
  if (state === FlowState.tcpClosed && !(client.lives && server.lives)) return state;
  if (client.fin || server.fin) return FlowState.tcpHalfClosed;
  if (state === FlowState.tcpClosed) return FlowState.tcpEstablished;
  const isEstablished = seenReply && (flags & FLAG.ACK) !== 0 && (flags & FLAG.SYN) === 0;
  return state === FlowState.tcpOpening && isEstablished ? FlowState.tcpEstablished : state;
}

/** Whether the sequence number lies in the window of the receiver, as far as that is known. */
function isTaken({ sequence }: TcpFacts, { takes, scale = 14 }: Side): boolean {
  if (takes === undefined) return true;
  return (sequence - takes.from) >>> 0 <= takes.window * 2 ** (takes.isScaled ? scale : 0);
}

/** A forward packet that opens a new connection on the ports of a closed one. */
export function isRestart(life: FlowLife, flags: number): boolean {
  return life.state === FlowState.tcpClosed && (flags & (FLAG.SYN | FLAG.ACK)) === FLAG.SYN;
}

/** A server's SYN-ACK. */
export function isOpeningAnswer({ protocol, flags }: { readonly protocol: number; readonly flags: number }): boolean {
  return protocol === Protocol.TCP && (flags & FLAG.SYN) !== 0 && (flags & FLAG.ACK) !== 0;
}

/** A segment in the middle of a connection, to which a reset is an answer. */
export function isMidStream({ protocol, flags }: { readonly protocol: number; readonly flags: number }): boolean {
  return protocol === Protocol.TCP && (flags & (FLAG.SYN | FLAG.RST | FLAG.ACK)) === FLAG.ACK;
}
