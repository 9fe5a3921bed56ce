// A flow begins: who calls, which instance answers, what the packets look like on the wire.

import { addressDelta, wordDelta } from "../checksum/incremental.ts";
import { fold } from "../checksum/sum.ts";
import { count } from "../frame/count.ts";
import { Counter } from "../shared/counters.ts";
import {
  CANDIDATE_DRAINING,
  CANDIDATE_FLAGS,
  CANDIDATE_INSTANCE,
  CANDIDATE_SIZE,
  FLOW_ANSWERED,
  FLOW_ANSWERS_CROSS,
  FLOW_CALLED,
  FLOW_CLIENT,
  FLOW_CLIENT_INCARNATION,
  FLOW_CLIENT_INSTANCE,
  FLOW_CLIENT_INSTANCE_ADDRESS,
  FLOW_CLIENT_PORT,
  FLOW_CROSSES,
  FLOW_FORWARD_DELTA,
  FLOW_FORWARD_PACKETS,
  FLOW_GENERATION,
  FLOW_INSTANCE,
  FLOW_INSTANCE_INCARNATION,
  FLOW_IS_BALANCED,
  FLOW_LAST_USED_MS,
  FLOW_NODE,
  FLOW_PROTOCOL,
  FLOW_REVERSE_DELTA,
  FLOW_REVERSE_PACKETS,
  FLOW_SEEN,
  FLOW_STATE,
  FLOW_TARGET,
  FLOW_TARGET_INSTANCE_ADDRESS,
  FLOW_WIRE_PORT,
  FlowState,
  SERVICE_CANDIDATE_COUNT,
  SERVICE_CANDIDATES,
  SERVICE_KIND,
  ServiceKind,
} from "../shared/layout.ts";
import { DropReason } from "../shared/verdicts.ts";
import { findService, findWorkload, isInServiceRange, isNoAddress } from "../table/address.ts";
import { claimAnswers, create, discard, insert } from "../table/flow.ts";
import { generation } from "../table/generation.ts";
import { policyClientHash, policyFlowHash } from "../table/hash.ts";
import { addLoad, incarnation, instanceAddress, namespaceAddress, nodeOf } from "../table/instance.ts";
import { isNodeKnown, isReachable } from "../table/node.ts";
import { candidatesAt } from "../table/regions.ts";
import { Packet } from "../wire/packet.ts";
import { firstSeen, firstState } from "./flow-state.ts";
import { isParked } from "./park.ts";
import { choose } from "./policy.ts";

// Source ports that a clash is resolved with: not the well-known ones (RFC 6335 section 6).
const WIRE_PORT_FIRST: u32 = 1024;
const WIRE_PORT_COUNT: u32 = 64512;
/** Ports that are tried before the packet is dropped: bounds the time that one packet can take. */
const WIRE_PORT_TRIES: u32 = 64;

/** What findAddresses() found. */
let isWireIpv4: bool = false;
let areAnswersIpv4: bool = false;

/** The flow that open() made. */
export let opened: usize = 0;

/** Opens the flow of a client's packet and leaves it in `opened`, or says why it cannot. */
export function open(packet: Packet, hash: u64, nowMs: u32): DropReason {
  if (!isInServiceRange(packet.destination)) return DropReason.notServiceAddress;
  const client = findWorkload(packet.sourceAt);
  if (client == 0) return DropReason.unknownWorkload;
  const service = findService(packet.destinationAt);
  if (service == 0 || isParked(packet.destination)) return DropReason.unknownAddress;
  const target = chooseInstance(service, packet, identity(client, packet.isIpv4));
  if (target == 0) return DropReason.noInstance;
  const reason = findAddresses(packet.isIpv4, client, target);
  if (reason != DropReason.none) return reason;
  const node = nodeOf(target);
  if (!isNodeKnown(node)) return DropReason.noNode;
  if (!isReachable(node, nowMs)) return DropReason.nodeUnreachable;

  const flow = create(nowMs);
  if (flow == 0) return DropReason.flowTableFull;
  store<u8>(flow, FlowState.free, FLOW_STATE);
  v128.store(flow, packet.source, FLOW_CLIENT);
  v128.store(flow, packet.destination, FLOW_CALLED);
  v128.store(flow, instanceAddress(client, isWireIpv4), FLOW_CLIENT_INSTANCE_ADDRESS);
  v128.store(flow, namespaceAddress(target, isWireIpv4), FLOW_TARGET);
  v128.store(flow, instanceAddress(target, areAnswersIpv4), FLOW_TARGET_INSTANCE_ADDRESS);
  v128.store(flow, namespaceAddress(client, areAnswersIpv4), FLOW_ANSWERED);
  store<u32>(flow, packet.ports, FLOW_CLIENT_PORT);
  store<u8>(flow, packet.protocol, FLOW_PROTOCOL);
  store<u16>(flow, <u16>node, FLOW_NODE);
  store<u32>(flow, target, FLOW_INSTANCE);
  store<u32>(flow, incarnation(target), FLOW_INSTANCE_INCARNATION);
  store<u32>(flow, client, FLOW_CLIENT_INSTANCE);
  store<u32>(flow, incarnation(client), FLOW_CLIENT_INCARNATION);
  store<u32>(flow, generation, FLOW_GENERATION);
  store<u32>(flow, nowMs, FLOW_LAST_USED_MS);
  store<u32>(flow, 0, FLOW_FORWARD_PACKETS);
  store<u32>(flow, 0, FLOW_REVERSE_PACKETS);
  const isBalanced = load<u32>(service, SERVICE_KIND) == ServiceKind.balanced;
  let seen = firstSeen(packet);
  if (isBalanced) seen |= FLOW_IS_BALANCED;
  if (isWireIpv4 != packet.isIpv4) seen |= FLOW_CROSSES;
  if (areAnswersIpv4 != packet.isIpv4) seen |= FLOW_ANSWERS_CROSS;
  store<u8>(flow, <u8>seen, FLOW_SEEN);
  if (!claimWirePort(flow, packet, hash, nowMs)) {
    discard(flow);
    return DropReason.portsExhausted;
  }

  if (isBalanced) addLoad(target, 1);
  opened = insert(flow, packet, hash, firstState(packet), nowMs);
  if (opened == flow) {
    count(Counter.flowsOpened, 1);
    return DropReason.none;
  }
  if (isBalanced) addLoad(target, -1);
  return opened == 0 ? DropReason.flowTableFull : DropReason.none;
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

/** Index of the instance that takes the flow, or 0. */
function chooseInstance(service: usize, packet: Packet, clientAddress: v128): u32 {
  const first = load<u32>(service, SERVICE_CANDIDATES);
  if (load<u32>(service, SERVICE_KIND) == ServiceKind.instance) return first;
  const candidateCount = load<u32>(service, SERVICE_CANDIDATE_COUNT);
  if (candidateCount == 0) return 0;
  const candidates = candidatesAt + <usize>first * CANDIDATE_SIZE;
  const hash = policyFlowHash(clientAddress, packet.destination, packet.ports, packet.protocol);
  const choice = <u32>choose(service, hash, policyClientHash(clientAddress));
  if (choice < candidateCount && !isDraining(candidates, choice)) {
    count(Counter.policyChoices, 1);
    return candidateInstance(candidates, choice);
  }
  const instance = fallback(candidates, candidateCount, hash, packet.isIpv4);
  if (instance != 0) count(Counter.policyFallbacks, 1);
  return instance;
}

/** The engine's own choice: by the hash, one that can be reached in the packet's own family before others; 0 = none. */
function fallback(candidates: usize, candidateCount: u32, hash: u32, isIpv4: bool): u32 {
  let other: u32 = 0;
  const start = hash % candidateCount;
  for (let i: u32 = 0; i < candidateCount; i++) {
    const candidate = (start + i) % candidateCount;
    if (isDraining(candidates, candidate)) continue;
    const instance = candidateInstance(candidates, candidate);
    if (!isNoAddress(namespaceAddress(instance, isIpv4))) return instance;
    if (other == 0) other = instance;
  }
  return other;
}

function candidateInstance(candidates: usize, index: u32): u32 {
  return load<u32>(candidates + <usize>index * CANDIDATE_SIZE, CANDIDATE_INSTANCE);
}

function isDraining(candidates: usize, index: u32): bool {
  return (load<u16>(candidates + <usize>index * CANDIDATE_SIZE, CANDIDATE_FLAGS) & CANDIDATE_DRAINING) != 0;
}

/**
 * Finds the client's port on the wire: its own, unless another flow has the same answers already (one client, two
 * addresses that lead to one instance). Then another one, as a NAT would; a packet without such a port has no other.
 */
function claimWirePort(flow: usize, packet: Packet, hash: u64, nowMs: u32): bool {
  setWirePort(flow, packet.sourcePort, packet);
  if (claimAnswers(flow, nowMs)) return true;
  if (!packet.hasSourcePort) return false;
  const start = <u32>(hash >>> 32);
  for (let i: u32 = 0; i < WIRE_PORT_TRIES; i++) {
    const port = WIRE_PORT_FIRST + ((start + i) % WIRE_PORT_COUNT);
    setWirePort(flow, bswap<u16>(<u16>port), packet);
    if (!claimAnswers(flow, nowMs)) continue;
    count(Counter.portsRewritten, 1);
    return true;
  }
  return false;
}

/** The deltas go with it: once its answers are claimed, another worker may translate by this record. */
function setWirePort(flow: usize, wirePort: u16, packet: Packet): void {
  store<u16>(flow, wirePort, FLOW_WIRE_PORT);
  const clientAddress = v128.load(flow, FLOW_CLIENT_INSTANCE_ADDRESS);
  const target = v128.load(flow, FLOW_TARGET);
  const answerAddress = v128.load(flow, FLOW_TARGET_INSTANCE_ADDRESS);
  const forward =
    addressDelta(packet.source, clientAddress) +
    addressDelta(packet.destination, target) +
    wordDelta(packet.sourcePort, wirePort);
  const reverse =
    addressDelta(answerAddress, packet.destination) +
    addressDelta(v128.load(flow, FLOW_ANSWERED), packet.source) +
    wordDelta(wirePort, packet.sourcePort);
  store<u16>(flow, <u16>fold(forward), FLOW_FORWARD_DELTA);
  store<u16>(flow, <u16>fold(reverse), FLOW_REVERSE_DELTA);
}
