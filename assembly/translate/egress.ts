// From a workload to a service: finds or opens the packet's flow, then src -> the client's instance address,
// dst -> the namespace address of the flow's instance.

import { count } from "../frame/count.ts";
import { Counter } from "../shared/counters.ts";
import {
  FLOW_CLIENT_INSTANCE_ADDRESS,
  FLOW_CROSSES,
  FLOW_FORWARD_DELTA,
  FLOW_GENERATION,
  FLOW_NODE,
  FLOW_SEEN,
  FLOW_TARGET,
  FLOW_WIRE_PORT,
} from "../shared/layout.ts";
import { IPPROTO_TCP, VIRTIO_NET_HDR_SIZE } from "../shared/protocols.ts";
import { DropReason } from "../shared/verdicts.ts";
import { end, findForward, packetHash } from "../table/flow.ts";
import { generation } from "../table/generation.ts";
import { pathMtu } from "../table/node.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";
import { TCP_SYN } from "../wire/tcp.ts";
import { VirtioNet } from "../wire/virtio-net.ts";
import { isClientAlive, isTargetAlive } from "./confirm.ts";
import { canChangeFamily, changeFamily, lengthAcross } from "./family.ts";
import { largestTo } from "./fit.ts";
import { isRestart, seenForward } from "./flow-state.ts";
import { isReset } from "./icmp-error.ts";
import { clampMss } from "./mss.ts";
import { open, opened } from "./open.ts";
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
    if (isGone && isReset(packet)) return DropReason.instanceGone;
    flow = 0;
  }
  if (flow == 0) {
    const reason = open(packet, hash, nowMs);
    if (reason != DropReason.none) return reason;
    flow = opened;
  }
  const node = <u32>load<u16>(flow, FLOW_NODE);
  const longest = payloadSize == 0 ? packet.length : packet.headerLength + payloadSize;
  const crosses = (load<u8>(flow, FLOW_SEEN) & FLOW_CROSSES) != 0;
  isUnusual = crosses || (longest > IPV6_MTU_MIN && longest > pathMtu(node));
  if (isUnusual) {
    noteFrame(packet, payloadSize);
    const refused = fitToPath(packet, node, longest, crosses, nowMs);
    if (refused != DropReason.none) return refused;
  }
  if (packet.flags & TCP_SYN) clampMss(packet, node, crosses, isPartial, nowMs);
  seenForward(flow, packet, packets, nowMs);
  if (crosses) changeFamily(packet, packets, segmentSize, false);
  const ports = (packet.ports & 0xffff0000) | <u32>load<u16>(flow, FLOW_WIRE_PORT);
  rewrite(
    packet,
    v128.load(flow, FLOW_CLIENT_INSTANCE_ADDRESS),
    v128.load(flow, FLOW_TARGET),
    ports,
    load<u16>(flow, FLOW_FORWARD_DELTA),
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
function fitToPath(packet: Packet, node: u32, longest: u32, crosses: bool, nowMs: u32): DropReason {
  let length = longest;
  if (crosses) {
    const refused = canChangeFamily(packet);
    if (refused != DropReason.none) return refused;
    length = lengthAcross(packet, longest);
  }
  const mtu = largestTo(node, length, crosses && packet.isIpv4, mayCut, nowMs);
  if (length <= mtu) return DropReason.none;
  if (!mayCut) {
    fittingMtu = max<u32>(mtu + longest - length, packet.isIpv4 ? 0 : IPV6_MTU_MIN);
    return DropReason.tooBig;
  }
  if (segmentSize != 0 && packet.protocol == IPPROTO_TCP) segmentSize -= length - mtu;
  else fittingMtu = mtu;
  return DropReason.none;
}

/** Whether goesOn() ended a flow because its instance is gone. */
let isGone: bool = false;

/** Whether the packet belongs to the flow that it was found by. If not, the flow is ended. */
function goesOn(flow: usize, packet: Packet): bool {
  isGone = false;
  if (isRestart(flow, packet)) {
    if (end(flow)) count(Counter.flowsRestarted, 1);
    return false;
  }
  return load<u32>(flow, FLOW_GENERATION) == generation || isConfirmed(flow, packet);
}

/** Whether client and instance of the packet's flow live in this generation. If not, the flow is ended. */
export function isConfirmed(flow: usize, packet: Packet): bool {
  if (!isClientAlive(flow)) {
    end(flow);
    return false;
  }
  if (!isTargetAlive(flow)) {
    isGone = true;
    if (end(flow) && !isReset(packet)) count(Counter.flowsRechosen, 1);
    return false;
  }
  store<u32>(flow, generation, FLOW_GENERATION);
  return true;
}
