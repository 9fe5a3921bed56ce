// From a workload to a service: finds or opens the packet's flow, then src -> the client's instance address,
// dst -> the namespace address of the flow's instance.

import { isLostReset, isReset } from "../answer/icmp-error.ts";
import { count } from "../area/count.ts";
import { confirmation } from "../area/generation.ts";
import { isParked } from "../ask/park.ts";
import { canChangeFamily, changeFamily, lengthAcross } from "../family/header.ts";
import { isClientAlive, isTargetAlive } from "../flow/confirm.ts";
import { isFlow, open } from "../flow/open.ts";
import { isRestart, seenForward } from "../flow/state.ts";
import { Flow } from "../record/flow.ts";
import * as Header from "../record/header.ts";
import { Counter } from "../shared/counters.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import * as Protocol from "../shared/protocol.ts";
import { DropReason } from "../shared/verdicts.ts";
import * as Virtio from "../shared/virtio.ts";
import { findService } from "../table/address.ts";
import { bind, rebind } from "../table/binding.ts";
import { end, findForward, packetHash } from "../table/flow.ts";
import { isReachable, pathMtu } from "../table/node.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";
import { TCP_SYN } from "../wire/tcp.ts";
import { VirtioNet } from "../wire/virtio-net.ts";
import { largestTo } from "./fit.ts";
import { clampMss } from "./mss.ts";
import { Passage } from "./passage.ts";
import { rewrite } from "./rewrite.ts";

/**
 * Translates a parsed packet in place; a super-packet becomes `packets` packets with `payloadSize` bytes of payload
 * each; of any other packet `payloadSize` is 0. When it returns a reason to drop the packet, it has changed nothing of
 * it.
 */
export function translateEgress(
  packet: Packet,
  passage: Passage,
  packets: u32,
  payloadSize: u32,
  isPartial: bool,
  nowMs: u32,
): DropReason {
  const hash = packetHash(packet);
  let flow = findForward(packet, hash);
  if (flow != 0 && !goOn(flow, packet, passage)) {
    if (passage.endedBy != DropReason.none) return <DropReason>passage.endedBy;
    flow = 0;
  }
  if (flow == 0) {
    flow = open(packet, hash, nowMs);
    if (!isFlow(flow)) return <DropReason>(<i32>flow);
  }
  const node = <u32>Flow.at(flow).node;
  const longest = payloadSize == 0 ? packet.length : packet.headerLength + payloadSize;
  const crosses = (Flow.at(flow).seen & FlowLayout.CROSSES) != 0;
  passage.isUnusual = crosses || (longest > IPV6_MTU_MIN && longest > pathMtu(node));
  if (passage.isUnusual) {
    noteFrame(packet, passage, payloadSize);
    const refused = fitToPath(packet, passage, node, longest, crosses);
    if (refused != DropReason.none) return refused;
  }
  if (packet.flags & TCP_SYN) clampMss(packet, node, crosses, isPartial);
  seenForward(flow, packet, packets, nowMs);
  if (crosses) changeFamily(packet, packets, passage.segmentSize, false);
  const ports = (packet.ports & 0xffff0000) | <u32>Flow.at(flow).wirePort;
  rewrite(
    packet,
    Flow.at(flow).clientInstanceAddress,
    Flow.at(flow).target,
    ports,
    Flow.at(flow).forwardDelta,
    isPartial,
  );
  passage.flow = <u32>flow;
  return DropReason.none;
}

/** Notes a frame that is not rewritten yet, of which nothing but its family and size may change. */
export function noteFrame(packet: Packet, passage: Passage, payloadSize: u32): void {
  const virtio = VirtioNet.at(packet.at - Virtio.SIZE);
  passage.offload = load<u64>(changetype<usize>(virtio));
  passage.checksumOffset = virtio.csumOffset;
  passage.checksumStart = packet.at + virtio.csumStart;
  passage.wasIpv4 = packet.isIpv4;
  passage.mayCut = passage.wasIpv4 && Ipv4.at(packet.at).mayFragment;
  passage.segmentSize = payloadSize;
  passage.fittingMtu = 0;
}

/**
 * Whether a packet, or the longest segment of a super-packet, can change its family and then fits the path; if not,
 * whether it may be cut.
 */
function fitToPath(packet: Packet, passage: Passage, node: u32, longest: u32, crosses: bool): DropReason {
  let length = longest;
  if (crosses) {
    const refused = canChangeFamily(packet);
    if (refused != DropReason.none) return refused;
    length = lengthAcross(packet, longest);
  }
  const mtu = largestTo(node, crosses && packet.isIpv4, passage.mayCut);
  if (length <= mtu) return DropReason.none;
  if (!passage.mayCut) {
    passage.fittingMtu = max<u32>(mtu + longest - length, packet.isIpv4 ? 0 : IPV6_MTU_MIN);
    return DropReason.tooBig;
  }
  if (passage.segmentSize != 0 && packet.protocol == Protocol.TCP) passage.segmentSize -= length - mtu;
  else passage.fittingMtu = mtu;
  return DropReason.none;
}

/** Whether the packet belongs to the flow that it was found by, and can be sent; else ends the flow, if it has to. */
function goOn(flow: usize, packet: Packet, passage: Passage): bool {
  passage.endedBy = <u8>DropReason.none;
  if (isRestart(flow, packet)) return restart(flow);
  return Flow.at(flow).confirmed == confirmation || confirm(flow, packet, passage);
}

function restart(flow: usize): bool {
  if (end(flow)) count(Counter.flowsRestarted, 1);
  return false;
}

/** Asks anew, after a change of the tables or of a node's health. A flow whose node is lost is kept: it may return. */
function confirm(flow: usize, packet: Packet, passage: Passage): bool {
  if (!confirmEnds(flow, packet, passage)) return false;
  if (isRestart(flow, packet)) return restart(flow); // it was unbound before
  if (!isReachable(Flow.at(flow).node) && !goOnLost(flow, packet, passage)) return false;
  Flow.at(flow).confirmed = confirmation;
  return true;
}

/**
 * Confirms that both ends of the packet's flow, client and instance, live in this generation; else ends the flow. While
 * the control plane is asked for addresses, tables without the called one do not say that its instance is gone: the
 * packet asks for it, and the flow waits. So does one of a process before this one until the tables have its ends.
 */
export function confirmEnds(flow: usize, packet: Packet, passage: Passage): bool {
  if (Flow.at(flow).isUnbound) {
    const reason = isParked(packet.destination) ? DropReason.unknownAddress : bind(flow);
    if (reason == DropReason.instanceGone) return endGone(flow, packet, passage);
    passage.endedBy = <u8>reason;
    if (reason != DropReason.none) return false;
  }
  if (!isClientAlive(flow)) {
    end(flow);
    return false;
  }
  if (isTargetAlive(flow)) return true;
  if (Header.parkMs.value != 0) {
    const mustWait = isParked(packet.destination);
    if (!mustWait && rebind(flow)) return true;
    if (mustWait || findService(packet.destinationAt) == 0) {
      passage.endedBy = <u8>DropReason.unknownAddress;
      return false;
    }
  }
  return endGone(flow, packet, passage);
}

/** The flow's instance is gone: its client is told, or gets another one. */
function endGone(flow: usize, packet: Packet, passage: Passage): bool {
  passage.endedBy = <u8>(isReset(packet) ? DropReason.instanceGone : DropReason.none);
  if (end(flow) && passage.endedBy == DropReason.none) count(Counter.flowsRechosen, 1);
  return false;
}

/** Drops a packet to an address that the control plane denied, and ends the flow that needs it. */
export function endDenied(packet: Packet): DropReason {
  const flow = findForward(packet, packetHash(packet));
  if (flow == 0 || isTargetAlive(flow)) return DropReason.unknownAddress;
  end(flow);
  return isReset(packet) ? DropReason.instanceGone : DropReason.unknownAddress;
}

/** Whether a packet is sent although its flow's node is lost. A flow that was never answered gets another instance. */
function goOnLost(flow: usize, packet: Packet, passage: Passage): bool {
  const seen = Flow.at(flow).seen;
  if ((seen & (FlowLayout.SEEN_REPLY | FlowLayout.IS_BALANCED)) == FlowLayout.IS_BALANCED) {
    if (end(flow)) count(Counter.flowsRechosen, 1);
    return false;
  }
  if ((Header.answers.value & HeaderLayout.ANSWER_LOST) == 0) return true;
  passage.endedBy = <u8>DropReason.nodeUnreachable;
  if (isLostReset(packet)) end(flow);
  return false;
}
