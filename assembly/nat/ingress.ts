// From the tunnel, or from a workload of this node, to a workload: an answer gets back the address that its client
// called; anything else is delivered as it is, if it may come in.

import { confirmation } from "../area/generation.ts";
import { noteCaller } from "../ask/callers.ts";
import { canChangeFamily, changeFamily } from "../family/header.ts";
import { isClientAlive } from "../flow/confirm.ts";
import { isFlow } from "../flow/open.ts";
import { seenReverse } from "../flow/state.ts";
import { Flow } from "../record/flow.ts";
import * as Header from "../record/header.ts";
import { Service } from "../record/service.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import { ServiceKind } from "../shared/layout/service.ts";
import { DropReason } from "../shared/verdicts.ts";
import { findService, findWorkload, isInServiceRange } from "../table/address.ts";
import { bind } from "../table/binding.ts";
import { end, findReverse, packetHash } from "../table/flow.ts";
import { nodeOf } from "../table/instance.ts";
import { acceptsUnknownSources, speaksFor } from "../table/sender.ts";
import { Packet } from "../wire/packet.ts";
import { Passage } from "./passage.ts";
import { rewrite } from "./rewrite.ts";

/** Translates a parsed packet of another node, or of NodeLayout.STRANGER, in place. The passage says which flow it answers. */
export function translateIngress(packet: Packet, passage: Passage, sender: u32, nowMs: u32): DropReason {
  const flow = answeredFlow(packet);
  if (flow == 0) return admit(packet, sender, nowMs);
  if (!isFlow(flow)) return <DropReason>(<i32>flow);
  passage.flow = <u32>flow;
  if (!speaksFor(sender, Flow.at(flow).node) && !isUnknownNow(packet, sender)) return DropReason.wrongNode;
  if (Flow.at(flow).seen & FlowLayout.ANSWERS_CROSS) {
    const refused = canChangeFamily(packet);
    if (refused != DropReason.none) return refused;
    // In front of one that grows is what was received before it.
    changeFamily(packet, 1, 0, packet.isIpv4);
  }
  giveBack(flow, packet, 1, false, nowMs);
  return DropReason.none;
}

/** The same for a packet that translateEgress() addressed to a workload of this node; parameters as there. */
export function translateLocal(
  packet: Packet,
  packets: u32,
  payloadSize: u32,
  isPartial: bool,
  nowMs: u32,
): DropReason {
  const flow = answeredFlow(packet);
  if (!isFlow(flow)) return <DropReason>(<i32>flow);
  if (Flow.at(flow).seen & FlowLayout.ANSWERS_CROSS) {
    const refused = canChangeFamily(packet);
    if (refused != DropReason.none) return refused;
    changeFamily(packet, packets, payloadSize, false);
  }
  giveBack(flow, packet, packets, isPartial, nowMs);
  return DropReason.none;
}

/**
 * The flow that the packet answers, or 0; or the DropReason of an answer that has to come again, because the tables do
 * not have the ends of its flow yet. Ends a flow whose client is gone.
 */
export function answeredFlow(packet: Packet): usize {
  const flow = findReverse(packet, packetHash(packet));
  if (flow == 0 || Flow.at(flow).confirmed == confirmation) return flow;
  if (Flow.at(flow).isUnbound) {
    const reason = bind(flow);
    if (reason == DropReason.unknownWorkload) return DropReason.notLocalDestination;
    if (reason != DropReason.none) return DropReason.unknownSource;
  }
  if (isClientAlive(flow)) return flow;
  end(flow);
  return 0;
}

/**
 * Whether a packet comes in the name of an instance that the tables lack at the moment, from a sender that may: where
 * the control plane is asked for addresses, the instance may have been dropped for disuse while the flow went on.
 */
function isUnknownNow(packet: Packet, sender: u32): bool {
  return Header.parkMs.value != 0 && findService(packet.sourceAt) == 0 && acceptsUnknownSources(sender);
}

function giveBack(flow: usize, packet: Packet, packets: u32, isPartial: bool, nowMs: u32): void {
  seenReverse(flow, packet, packets, nowMs);
  const ports = (packet.ports & 0xffff) | ((<u32>Flow.at(flow).clientPort) << 16);
  rewrite(packet, Flow.at(flow).called, Flow.at(flow).client, ports, Flow.at(flow).reverseDelta, isPartial);
}

/** Whether a packet that answers nothing may come in from the sender. */
function admit(packet: Packet, sender: u32, nowMs: u32): DropReason {
  if (findWorkload(packet.destinationAt) == 0) return DropReason.notLocalDestination;
  const service = findService(packet.sourceAt);
  const refused = admitAs(service, packet, sender);
  if (service == 0 && refused == DropReason.none && Header.parkMs.value != 0) noteCaller(packet, nowMs);
  return refused;
}

/** Whether the sender may send in the name of the packet's source: an instance on a node that it speaks for. */
export function admitSource(packet: Packet, sender: u32): DropReason {
  return admitAs(findService(packet.sourceAt), packet, sender);
}

function admitAs(service: usize, packet: Packet, sender: u32): DropReason {
  if (!isInServiceRange(packet.source)) return DropReason.notServiceSource;
  if (service == 0) return acceptsUnknownSources(sender) ? DropReason.none : DropReason.unknownSource;
  if (Service.at(service).kind != ServiceKind.instance) return DropReason.balancedSource;
  return speaksFor(sender, nodeOf(Service.at(service).candidates)) ? DropReason.none : DropReason.wrongNode;
}
