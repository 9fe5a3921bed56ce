// From a workload to a service: finds or opens the packet's flow, then src -> the client's instance address,
// dst -> the namespace address of the flow's instance.

import { isLostReset, isReset } from "../answer/icmp-error.ts";
import { count } from "../area/count.ts";
import { confirmation } from "../area/generation.ts";
import { canChangeFamily, changeFamily, lengthAcross } from "../family/header.ts";
import { isClientAlive, isTargetAlive } from "../flow/confirm.ts";
import { open, opened } from "../flow/open.ts";
import { isRestart, seenForward } from "../flow/state.ts";
import { Flow } from "../record/flow.ts";
import { HEADER } from "../record/header.ts";
import { Counter } from "../shared/counters.ts";
import { ANSWER_LOST, FLOW_CROSSES, FLOW_IS_BALANCED, FLOW_SEEN_REPLY } from "../shared/layout.ts";
import { IPPROTO_TCP, VIRTIO_NET_HDR_SIZE } from "../shared/protocols.ts";
import { DropReason } from "../shared/verdicts.ts";
import { end, findForward, packetHash } from "../table/flow.ts";
import { isReachable, pathMtu } from "../table/node.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";
import { TCP_SYN } from "../wire/tcp.ts";
import { VirtioNet } from "../wire/virtio-net.ts";
import { largestTo } from "./fit.ts";
import { clampMss } from "./mss.ts";
import { rewrite } from "./rewrite.ts";

/** The flow of the packet that translateEgress() handled last. */
export let egressFlow: usize = 0;
/** Whether the packet crosses the families or did not fit the path. Then the rest says more, else noteFrame() is due. */
export let isUnusual: bool = false;
/** Payload of the super-packet's segments, which may have become less; 0 = it is none. */
export let segmentSize: u32 = 0;
/** Size that the packet is to be fragmented to, 0 = not at all; for DropReason.tooBig what would have fit. */
export let fittingMtu: u32 = 0;
/** The frame as it came: the first 8 bytes of its virtio_net_hdr, which a packet that grows overwrites, and the rest. */
export let offload: u64 = 0;
export let checksumOffset: u16 = 0;
export let checksumStart: u32 = 0; // as an address
export let wasIpv4: bool = false;
/** Whether it may be fragmented on its way. */
export let mayCut: bool = false;

/**
 * Translates a parsed packet in place; `packets` is how many it stands for, with `payloadSize` bytes of payload each; 0
 * says that it is no super-packet. As long as it returns a reason to drop the packet, it has left it as it was.
 */
export function translateEgress(
  packet: Packet,
  packets: u32,
  payloadSize: u32,
  isPartial: bool,
  nowMs: u32,
): DropReason {
  const hash = packetHash(packet);
  let flow = findForward(packet, hash);
  if (flow != 0 && !goesOn(flow, packet)) {
    if (endedBy != DropReason.none) return endedBy;
    flow = 0;
  }
  if (flow == 0) {
    const reason = open(packet, hash, nowMs);
    if (reason != DropReason.none) return reason;
    flow = opened;
  }
  const node = <u32>Flow.at(flow).node;
  const longest = payloadSize == 0 ? packet.length : packet.headerLength + payloadSize;
  const crosses = (Flow.at(flow).seen & FLOW_CROSSES) != 0;
  isUnusual = crosses || (longest > IPV6_MTU_MIN && longest > pathMtu(node));
  if (isUnusual) {
    noteFrame(packet, payloadSize);
    const refused = fitToPath(packet, node, longest, crosses);
    if (refused != DropReason.none) return refused;
  }
  if (packet.flags & TCP_SYN) clampMss(packet, node, crosses, isPartial);
  seenForward(flow, packet, packets, nowMs);
  if (crosses) changeFamily(packet, packets, segmentSize, false);
  const ports = (packet.ports & 0xffff0000) | <u32>Flow.at(flow).wirePort;
  rewrite(
    packet,
    Flow.at(flow).clientInstanceAddress,
    Flow.at(flow).target,
    ports,
    Flow.at(flow).forwardDelta,
    isPartial,
  );
  egressFlow = flow;
  return DropReason.none;
}

/** Notes a frame that is not rewritten yet, of which nothing but its family and size may change. */
export function noteFrame(packet: Packet, payloadSize: u32): void {
  const virtio = VirtioNet.at(packet.at - VIRTIO_NET_HDR_SIZE);
  offload = load<u64>(changetype<usize>(virtio));
  checksumOffset = virtio.csumOffset;
  checksumStart = packet.at + virtio.csumStart;
  wasIpv4 = packet.isIpv4;
  mayCut = wasIpv4 && Ipv4.at(packet.at).mayFragment;
  segmentSize = payloadSize;
  fittingMtu = 0;
}

/**
 * Whether a packet, or the longest segment of a super-packet, can change its family and then fits the path; if not,
 * whether it may be cut.
 */
function fitToPath(packet: Packet, node: u32, longest: u32, crosses: bool): DropReason {
  let length = longest;
  if (crosses) {
    const refused = canChangeFamily(packet);
    if (refused != DropReason.none) return refused;
    length = lengthAcross(packet, longest);
  }
  const mtu = largestTo(node, crosses && packet.isIpv4, mayCut);
  if (length <= mtu) return DropReason.none;
  if (!mayCut) {
    fittingMtu = max<u32>(mtu + longest - length, packet.isIpv4 ? 0 : IPV6_MTU_MIN);
    return DropReason.tooBig;
  }
  if (segmentSize != 0 && packet.protocol == IPPROTO_TCP) segmentSize -= length - mtu;
  else fittingMtu = mtu;
  return DropReason.none;
}

/** Why the packet of a flow that does not go on is dropped; none = it begins another flow. */
let endedBy: DropReason = 0; // DropReason.none, which asc would store at the start

/** Whether the packet belongs to the flow that it was found by, and can be sent. */
function goesOn(flow: usize, packet: Packet): bool {
  endedBy = DropReason.none;
  if (isRestart(flow, packet)) {
    if (end(flow)) count(Counter.flowsRestarted, 1);
    return false;
  }
  return Flow.at(flow).confirmed == confirmation || confirm(flow, packet);
}

/** Asks anew, after a change of the tables or of a node's health. A flow whose node is lost is kept: it may return. */
function confirm(flow: usize, packet: Packet): bool {
  if (!isConfirmed(flow, packet)) return false;
  if (!isReachable(Flow.at(flow).node) && !goesOnLost(flow, packet)) return false;
  Flow.at(flow).confirmed = confirmation;
  return true;
}

/** Whether client and instance of the packet's flow live in this generation. If not, the flow is ended. */
export function isConfirmed(flow: usize, packet: Packet): bool {
  if (!isClientAlive(flow)) {
    end(flow);
    return false;
  }
  if (!isTargetAlive(flow)) {
    endedBy = isReset(packet) ? DropReason.instanceGone : DropReason.none;
    if (end(flow) && endedBy == DropReason.none) count(Counter.flowsRechosen, 1);
    return false;
  }
  return true;
}

/** Whether a packet is sent although its flow's node is lost. A flow that was never answered gets another instance. */
function goesOnLost(flow: usize, packet: Packet): bool {
  const seen = Flow.at(flow).seen;
  if ((seen & (FLOW_SEEN_REPLY | FLOW_IS_BALANCED)) == FLOW_IS_BALANCED) {
    if (end(flow)) count(Counter.flowsRechosen, 1);
    return false;
  }
  if ((HEADER.answers & ANSWER_LOST) == 0) return true;
  endedBy = DropReason.nodeUnreachable;
  if (isLostReset(packet)) end(flow);
  return false;
}
