// The slow twin's flow life: which state a flow is in after each packet (RFC 9293 section 3.3.2, seen from outside).

import { FlowState } from "../../../assembly/shared/layout.ts";
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from "../../../assembly/shared/protocols.ts";
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
    state: firstState(protocol),
    seenReply: false,
    finForward: false,
    finReverse: false,
  };
}

function firstState(protocol: number): FlowState {
  if (protocol === IPPROTO_TCP) return FlowState.tcpOpening;
  if (protocol === IPPROTO_UDP) return FlowState.udpUnreplied;
  return protocol === IPPROTO_ICMP ? FlowState.icmpQuery : FlowState.otherUnreplied;
}

/** Takes one packet of the flow into account. */
export function observe(life: FlowLife, protocol: number, flags: number, isReply: boolean): void {
  if (isReply) life.seenReply = true;
  if (protocol !== IPPROTO_TCP) {
    if (isReply && protocol !== IPPROTO_ICMP) {
      life.state = protocol === IPPROTO_UDP ? FlowState.udpStream : FlowState.otherStream;
    }
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
