// A flow begins: who calls, which instance answers, what the packets look like on the wire.

import { count } from "../area/count.ts";
import { confirmation } from "../area/generation.ts";
import { isParked } from "../ask/park.ts";
import { Flow } from "../record/flow.ts";
import * as Header from "../record/header.ts";
import { Service } from "../record/service.ts";
import { Counter } from "../shared/counters.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import { FlowState } from "../shared/layout/flow.ts";
import { ServiceKind } from "../shared/layout/service.ts";
import * as Protocol from "../shared/protocol.ts";
import { DropReason } from "../shared/verdicts.ts";
import { findService, findWorkload, isInServiceRange, isNoAddress } from "../table/address.ts";
import { create, discard, insert } from "../table/flow.ts";
import { incarnation, instanceAddress, namespaceAddress, nodeOf } from "../table/instance.ts";
import { isNodeKnown, isReachable } from "../table/node.ts";
import { openingMs } from "../table/outlier.ts";
import { sealOf } from "../table/seal.ts";
import { Packet } from "../wire/packet.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../wire/tcp.ts";
import { chooseInstance } from "./selection.ts";
import { firstState, forgetTcp } from "./state.ts";
import { claimWirePort } from "./wire-port.ts";

const OPENING_FLAGS: u32 = TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN;

/** What findAddresses() found. */
let isWireIpv4: bool = false;
let areAnswersIpv4: bool = false;

/** Whether open() answered a flow, and not a DropReason: no record lies that low. */
export function isFlow(opened: usize): bool {
  return opened >= <usize>DropReason.count;
}

/** Opens the flow of a client's packet. The address of its record, or the DropReason that says why there is none. */
export function open(packet: Packet, hash: u64, nowMs: u32): usize {
  if (!isInServiceRange(packet.destination)) return DropReason.notServiceAddress;
  const client = findWorkload(packet.sourceAt);
  if (client == 0) return DropReason.unknownWorkload;
  const service = findService(packet.destinationAt);
  if (service == 0 || isParked(packet.destination)) return DropReason.unknownAddress;
  const target = chooseInstance(service, packet, client, identity(client, packet.isIpv4), nowMs);
  if (target == 0) return DropReason.noInstance;
  const reason = findAddresses(packet.isIpv4, client, target);
  if (reason != DropReason.none) return reason;
  const node = nodeOf(target);
  if (!isNodeKnown(node)) return DropReason.noNode;
  if (!isReachable(node)) return DropReason.nodeUnreachable;

  const flow = create(client, nowMs);
  if (flow == 0) return DropReason.flowTableFull;
  fill(Flow.at(flow), packet, client, target, nowMs);
  Flow.at(flow).node = <u16>node;
  Flow.at(flow).seen = firstSeen(service, packet.isIpv4);
  Flow.at(flow).openedMs = isOpening(service, packet) ? openingMs() : 0;
  forgetTcp(flow);
  const owner = claimWirePort(flow, packet, nowMs);
  if (owner != flow) {
    discard(flow);
    return owner == 0 ? <usize>DropReason.portsExhausted : owner;
  }
  Flow.at(flow).seal = sealOf(flow);

  const opened = insert(flow, hash, firstState(packet), nowMs);
  if (opened == flow) count(Counter.flowsOpened, 1);
  return opened == 0 ? <usize>DropReason.flowTableFull : opened;
}

/** What the record says of a flow of which no packet was seen, with the families that findAddresses() found. */
function fill(record: Flow, packet: Packet, client: u32, target: u32, nowMs: u32): void {
  record.state = <u8>FlowState.free;
  record.client = packet.source;
  record.called = packet.destination;
  record.clientInstanceAddress = instanceAddress(client, isWireIpv4);
  record.target = namespaceAddress(target, isWireIpv4);
  record.targetInstanceAddress = instanceAddress(target, areAnswersIpv4);
  record.answered = namespaceAddress(client, areAnswersIpv4);
  record.storePorts(packet.ports);
  record.protocol = packet.protocol;
  record.instance = target;
  record.instanceIncarnation = incarnation(target);
  record.clientInstance = client;
  record.clientIncarnation = incarnation(client);
  record.confirmed = confirmation;
  record.lastUsedMs = nowMs;
  record.forwardPackets = 0;
  record.reversePackets = 0;
}

/** Whether the packet is one that its instance answers, or refuses, by itself: not a segment of another connection. */
function isOpening(service: usize, packet: Packet): bool {
  if (Header.outlierFailures.value == 0 || Service.at(service).kind != ServiceKind.balanced) return false;
  if (packet.protocol == Protocol.TCP) return (packet.flags & OPENING_FLAGS) == TCP_SYN;
  return packet.protocol == Protocol.UDP;
}

function firstSeen(service: usize, isIpv4: bool): u8 {
  let seen: u32 = Service.at(service).kind == ServiceKind.balanced ? FlowLayout.IS_BALANCED : 0;
  if (isWireIpv4 != isIpv4) seen |= FlowLayout.CROSSES;
  if (areAnswersIpv4 != isIpv4) seen |= FlowLayout.ANSWERS_CROSS;
  return <u8>seen;
}

/** The instance address by which policies know a client: of the family that it calls in, if it has one. */
function identity(client: u32, isIpv4: bool): v128 {
  const own = instanceAddress(client, isIpv4);
  return isNoAddress(own) ? instanceAddress(client, !isIpv4) : own;
}

/**
 * In which family the packets of a flow cross the tunnel, and in which its answers arrive. A packet goes to its target
 * in its own family, if the target has a namespace address there; else in the other. The answers come from there in the
 * target's family, and the target's node delivers them by the same rule.
 */
function findAddresses(isIpv4: bool, client: u32, target: u32): DropReason {
  isWireIpv4 = isNoAddress(namespaceAddress(target, isIpv4)) ? !isIpv4 : isIpv4;
  if (isNoAddress(namespaceAddress(target, isWireIpv4))) return DropReason.noInstance;
  areAnswersIpv4 = isNoAddress(namespaceAddress(client, isWireIpv4)) ? !isWireIpv4 : isWireIpv4;
  const isComplete =
    !isNoAddress(instanceAddress(client, isWireIpv4)) && !isNoAddress(instanceAddress(target, areAnswersIpv4));
  return isComplete ? DropReason.none : DropReason.noAddressOfFamily;
}
