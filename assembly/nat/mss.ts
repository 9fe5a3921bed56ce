// MSS clamping: a SYN promises no larger segments than the way takes in one piece (RFC 9293 section 3.7.1). What comes
// back then fits, also where the packet-too-big messages that would say so get lost.

import { count } from "../area/count.ts";
import { update, wordDelta } from "../checksum/incremental.ts";
import * as Header from "../record/header.ts";
import { Counter } from "../shared/counters.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import { learntMtu } from "../table/node.ts";
import { IPV4_MIN_HEADER } from "../wire/ipv4.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";
import { findOption, TCP_MIN_HEADER, TCP_OPTION_MSS, TCP_OPTION_MSS_LENGTH, Tcp } from "../wire/tcp.ts";

/**
 * Lowers the MSS option of a SYN to `node`, before the packet is rewritten. A flow that changes its family has the
 * larger headers one way or the other. `isPartial`: the checksum is unfinished and does not cover options yet.
 */
export function clampMss(packet: Packet, node: u32, crosses: bool, isPartial: bool): void {
  if ((Header.answers.value & HeaderLayout.CLAMP_MSS) == 0) return;
  const mtu = smallestKnown(Header.tunMtu.value, learntMtu(node));
  if (mtu == 0) return;
  const headers = (packet.isIpv4 && !crosses ? IPV4_MIN_HEADER : IPV6_HEADER) + TCP_MIN_HEADER;
  const optionsAt = packet.transportAt + TCP_MIN_HEADER;
  const option = findOption(optionsAt, packet.payloadAt, TCP_OPTION_MSS, TCP_OPTION_MSS_LENGTH);
  if (option == 0) return;
  const before = load<u16>(option, 2);
  const after = bswap<u16>(<u16>min<u32>(mtu - headers, bswap<u16>(before)));
  if (before == after) return;
  store<u16>(option, after, 2);
  if (!isPartial) {
    const tcp = Tcp.at(packet.transportAt);
    const isOdd = ((option - packet.transportAt) & 1) != 0; // its bytes then belong to two words of the sum
    tcp.checksum = update(tcp.checksum, isOdd ? wordDelta(bswap(before), bswap(after)) : wordDelta(before, after));
  }
  count(Counter.mssClamped, 1);
}

/** The smaller of two sizes, each of which may be 0: not known. */
function smallestKnown(a: u32, b: u32): u32 {
  if (a == 0) return b;
  return b == 0 ? a : min(a, b);
}
