// ICMP errors (RFC 5508 section 4.2): an error belongs to the flow of the packet that it quotes, in the other
// direction. This node's kernel, as a router, speaks for the workload that the quoted packet was meant for, so that no
// address of a router or a namespace reaches a client. A workload speaks for itself alone, and nobody else speaks at
// all. An error about a packet is no sign of life of its flow: it neither opens nor keeps one.

import { addressDelta, portsDelta, update } from "../checksum/incremental.ts";
import { fold, sum } from "../checksum/sum.ts";
import { changeErrorFamily } from "../family/icmp-error.ts";
import { isFlow } from "../flow/open.ts";
import { Flow } from "../record/flow.ts";
import { Service } from "../record/service.ts";
import { OutlierCause } from "../shared/layout/outlier.ts";
import { ServiceKind } from "../shared/layout/service.ts";
import { DropReason } from "../shared/verdicts.ts";
import { findService, findWorkload, isNoAddress, isOwnAddress, isV4Mapped, sameAddress } from "../table/address.ts";
import { findForward, packetHash } from "../table/flow.ts";
import { instanceAddress, namespaceAddress, nodeOf } from "../table/instance.ts";
import { isNodeKnown } from "../table/node.ts";
import { noteFailed } from "../table/outlier.ts";
import { speaksFor } from "../table/sender.ts";
import { Icmp } from "../wire/icmp.ts";
import { Ipv6 } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";
import { TCP_MIN_HEADER } from "../wire/tcp.ts";
import { confirmEnds } from "./egress.ts";
import { answeredFlow } from "./ingress.ts";
import { Passage } from "./passage.ts";
import { rewrite } from "./rewrite.ts";

/** Translates an ICMP error from the TUN, and notes which node it goes to. */
export function translateErrorEgress(packet: Packet, passage: Passage): DropReason {
  if (!isAboutReceiver(packet)) return DropReason.unrelatedError;
  const answer = packet.quoted;
  answer.turn();
  const workload = findWorkload(answer.sourceAt);
  if (workload == 0) return DropReason.unknownWorkload;
  if (findWorkload(packet.sourceAt) != workload && !isOwnAddress(packet.sourceAt)) return DropReason.unrelatedError;
  const flow = findForward(answer, packetHash(answer));
  if (flow == 0 || !confirmEnds(flow, answer, passage)) return translateStateless(packet, passage, answer, workload);
  passage.errorNode = Flow.at(flow).node;
  if (!isNodeKnown(passage.errorNode)) return DropReason.noNode;
  const ports = (answer.ports & 0xffff0000) | <u32>Flow.at(flow).wirePort;
  const target = Flow.at(flow).target;
  return rewriteError(packet, Flow.at(flow).clientInstanceAddress, target, ports, false);
}

/** About a packet that a workload did not answer, so that it has no flow here: what its answer would have become. */
function translateStateless(packet: Packet, passage: Passage, answer: Packet, workload: u32): DropReason {
  const service = findService(answer.destinationAt);
  if (service == 0 || Service.at(service).kind != ServiceKind.instance) return DropReason.unrelatedError;
  const receiver = Service.at(service).candidates;
  const isIpv4 = isNoAddress(namespaceAddress(receiver, packet.isIpv4)) ? !packet.isIpv4 : packet.isIpv4;
  const destination = namespaceAddress(receiver, isIpv4);
  if (isNoAddress(destination)) return DropReason.unrelatedError;
  const source = instanceAddress(workload, isIpv4);
  if (isNoAddress(source)) return DropReason.noAddressOfFamily;
  passage.errorNode = nodeOf(receiver);
  if (!isNodeKnown(passage.errorNode)) return DropReason.noNode;
  return rewriteError(packet, source, destination, answer.ports, false);
}

/**
 * Translates an ICMP error of the node `sender`. It must be about a flow of this node's workloads to that node: what a
 * workload does beside the overlay is nothing that other nodes may speak of (RFC 5927).
 */
export function translateErrorIngress(packet: Packet, sender: u32, nowMs: u32): DropReason {
  if (!isAboutReceiver(packet)) return DropReason.unrelatedError;
  const answer = packet.quoted;
  answer.turn();
  const flow = answeredFlow(answer);
  if (!isFlow(flow)) return DropReason.unrelatedError;
  if (!speaksFor(sender, Flow.at(flow).node)) return DropReason.wrongNode;
  return giveErrorBack(flow, packet, packet.isIpv4, nowMs); // as in translateIngress()
}

/** The same for an error that translateErrorEgress() addressed to a workload of this node. */
export function translateErrorLocal(packet: Packet, nowMs: u32): DropReason {
  const flow = answeredFlow(packet.quoted);
  return isFlow(flow) ? giveErrorBack(flow, packet, false, nowMs) : <DropReason>(<i32>flow);
}

/** Whether the receiver of the error is said to have sent the packet; as the bytes have it (packet.ts, neverV4). */
function isAboutReceiver(packet: Packet): bool {
  const quoted = packet.quoted;
  if (packet.isIpv4) return sameAddress(packet.destination, quoted.source);
  return sameAddress(Ipv6.at(packet.at).destination, Ipv6.at(quoted.at).source);
}

function giveErrorBack(flow: usize, packet: Packet, isDetached: bool, nowMs: u32): DropReason {
  const icmp = Icmp.at(packet.transportAt);
  if (icmp.isUnreachable(packet.isIpv4)) {
    const cause = icmp.isOfPort(packet.isIpv4) ? OutlierCause.refused : OutlierCause.unreachable;
    noteFailed(flow, cause, nowMs);
  }
  const ports = (packet.quoted.ports & 0xffff) | ((<u32>Flow.at(flow).clientPort) << 16);
  return rewriteError(packet, Flow.at(flow).called, Flow.at(flow).client, ports, isDetached);
}

/**
 * Gives the error other ends, and the quoted packet the same ones, swapped. The quoted packet was turned in its
 * description, not in its bytes. `isDetached`: when it changes its family, in a copy.
 */
function rewriteError(packet: Packet, source: v128, destination: v128, ports: u32, isDetached: bool): DropReason {
  if (isV4Mapped(source) != packet.isIpv4) {
    const refused = changeErrorFamily(packet, isDetached);
    if (refused != DropReason.none) return refused;
  }
  const quoted = packet.quoted;
  // Everything that may change; in a whole quote the sum over the rest stays.
  const length = min(quoted.end, quoted.transportAt + TCP_MIN_HEADER) - quoted.at;
  const before = <u16>~fold(sum(quoted.at, length));
  quoted.turn();
  rewriteQuoted(quoted, destination, source, rotl<u32>(ports, 16));
  quoted.turn();
  const delta = <u32>before + fold(sum(quoted.at, length));
  // The source was not looked up, so that packet.source may not have it as the bytes do.
  const sender = packet.isIpv4 ? packet.source : Ipv6.at(packet.at).source;
  const addresses = addressDelta(sender, source) + addressDelta(packet.destination, destination);
  rewrite(packet, source, destination, packet.ports, fold(addresses), false);
  const icmp = Icmp.at(packet.transportAt);
  icmp.checksum = update(icmp.checksum, delta);
  return DropReason.none;
}

function rewriteQuoted(quoted: Packet, source: v128, destination: v128, ports: u32): void {
  const delta =
    addressDelta(quoted.source, source) +
    addressDelta(quoted.destination, destination) +
    portsDelta(quoted.ports, ports);
  rewrite(quoted, source, destination, ports, fold(delta), false);
}
