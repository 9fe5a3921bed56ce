// The slow twin's flow life: which state a flow is in after each packet (RFC 9293 section 3.3.2, seen from outside).

import { FlowState } from "../../../assembly/shared/layout.ts";
import { IPPROTO_UDP } from "../../../assembly/shared/protocols.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../packet-builder.ts";

/** What one endpoint sent and how far the connection is. */
export interface FlowLife {
  state: FlowState;
  seenReply: boolean;
  finForward: boolean;
  finReverse: boolean;
}

/** The life of a flow before its first packet was looked at. */
export function newLife(protocol: number): FlowLife {
  return {
    state: protocol === IPPROTO_UDP ? FlowState.udpUnreplied : FlowState.tcpOpening,
    seenReply: false,
    finForward: false,
    finReverse: false,
  };
}

/** Takes one packet of the flow into account. */
export function observe(life: FlowLife, protocol: number, flags: number, isReply: boolean): void {
  if (isReply) life.seenReply = true;
  if (protocol === IPPROTO_UDP) {
    if (isReply) life.state = FlowState.udpStream;
    return;
  }
  // A closed connection stays closed; only a new SYN begins another one, as a flow of its own.
  if (life.state === FlowState.tcpClosed) return;
  if (flags & TCP_RST) {
    life.state = FlowState.tcpClosed;
    return;
  }
  if (flags & TCP_FIN) {
    if (isReply) life.finReverse = true;
    else life.finForward = true;
  }
  if (life.finForward && life.finReverse) life.state = FlowState.tcpClosed;
  else if (life.finForward || life.finReverse) life.state = FlowState.tcpHalfClosed;
  else if (life.state === FlowState.tcpOpening && life.seenReply && flags & TCP_ACK && !(flags & TCP_SYN)) {
    life.state = FlowState.tcpEstablished;
  }
}

/** A forward packet that opens a new connection on the ports of a closed one. */
export function isRestart(life: FlowLife, flags: number): boolean {
  return life.state === FlowState.tcpClosed && (flags & (TCP_SYN | TCP_ACK)) === TCP_SYN;
}
