// Node records: where a node's tunnel is, whether it can be reached, and what was measured of the way there.

import { placeInForce } from "../area/generation.ts";
import { nodeMetricsAt, nodesAt } from "../area/regions.ts";
import {
  HEADER_AT,
  HEADER_GSO_TRIAL,
  HEADER_HEALTH_EPOCH,
  HEADER_METRICS_EPOCH,
  HEADER_NODE_COUNT,
  HEADER_OFFLOADS,
  HEADER_OUTER_CLASS,
  LOCAL_NODE,
  NODE_ENDPOINT_SIZE,
  NODE_ENDPOINTS,
  NODE_GSO_REFUSED,
  NODE_HEALTH,
  NODE_LARGE_SENT,
  NODE_METRICS_SIZE,
  NODE_MTU,
  NODE_RTT_NEXT,
  NODE_RTT_SAMPLES,
  NODE_RTT_US,
  NODE_SINCE_US,
  NODE_SIZE,
  NODE_STATE,
  NODE_TAKES_ECN,
  NODE_VERSION,
  NODE_WHOLE,
  NodeHealth,
  OFFLOAD_UDP_GSO,
  OUTER_CLASS_COPIED,
  OUTER_CLASS_COPIED_COMPATIBLY,
  OUTER_CLASS_FIXED,
  RTT_SAMPLE_COUNT,
  SLOT_USED,
  SOCKADDR_ADDRESS,
  SOCKADDR_PORT,
} from "../shared/layout.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";
import { isV4Mapped, sameAddress } from "./address.ts";

// Outer IP and UDP header
const OVERHEAD_V4: u32 = 28;
const OVERHEAD_V6: u32 = 48;

export function isNodeKnown(node: u32): bool {
  return load<u32>(nodeAt(node), NODE_STATE) == SLOT_USED;
}

/** The sockaddr_in6 of the node's tunnel. */
export function endpointAt(node: u32): usize {
  const at = nodeAt(node);
  return at + NODE_ENDPOINTS + <usize>placeInForce(atomic.load<u32>(at, NODE_VERSION)) * NODE_ENDPOINT_SIZE;
}

/** Whether two sockaddrs name one address and port. */
export function isSameEndpoint(a: usize, b: usize): bool {
  const isSamePort = load<u16>(a, SOCKADDR_PORT) == load<u16>(b, SOCKADDR_PORT);
  return isSamePort && sameAddress(v128.load(a, SOCKADDR_ADDRESS), v128.load(b, SOCKADDR_ADDRESS));
}

/** Whether the sockaddr at `name` is the node's tunnel, address and port. */
export function isEndpoint(name: usize, node: u32): bool {
  return node != LOCAL_NODE && isSameEndpoint(name, endpointAt(node));
}

/** Outer IP and UDP header of what goes to the sockaddr at `name`. */
export function overheadTo(name: usize): u32 {
  return isV4Mapped(v128.load(name, SOCKADDR_ADDRESS)) ? OVERHEAD_V4 : OVERHEAD_V6;
}

/** The next node behind `node` with the address of the sockaddr at `name`, or LOCAL_NODE. */
export function nodeBehind(name: usize, node: u32): u32 {
  const address = v128.load(name, SOCKADDR_ADDRESS);
  const nodes = load<u32>(HEADER_AT, HEADER_NODE_COUNT);
  while (++node < nodes) {
    if (isNodeKnown(node) && sameAddress(v128.load(endpointAt(node), SOCKADDR_ADDRESS), address)) return node;
  }
  return LOCAL_NODE;
}

export function metricsAt(node: u32): usize {
  return nodeMetricsAt + <usize>node * NODE_METRICS_SIZE;
}

/** Whether a datagram of `length` bytes may be cut from a larger message: only by a path that it fits in one piece. */
export function takesGso(node: u32, length: u32): bool {
  if ((load<u32>(HEADER_AT, HEADER_OFFLOADS) & OFFLOAD_UDP_GSO) == 0) return false;
  return (
    load<u32>(metricsAt(node), NODE_GSO_REFUSED) != load<u32>(HEADER_AT, HEADER_GSO_TRIAL) && fitsWhole(node, length)
  );
}

/** Whether a datagram of `length` bytes fits the path in one piece, as far as is known. */
export function fitsWhole(node: u32, length: u32): bool {
  return length - 1 <= load<u32>(metricsAt(node), NODE_WHOLE) - 1; // one that is not known is the largest
}

/** The bits of a packet's TOS or traffic class that its outer header has as well on the way to a node. */
export function copiedClass(node: u32): u32 {
  const takesEcn = load<u32>(metricsAt(node), NODE_TAKES_ECN) != 0;
  const from = takesEcn ? OUTER_CLASS_COPIED : OUTER_CLASS_COPIED_COMPATIBLY;
  return (load<u32>(HEADER_AT, HEADER_OUTER_CLASS) >>> from) & 0xff;
}

/** The bits that every outer header has. */
export function fixedClass(): u32 {
  return (load<u32>(HEADER_AT, HEADER_OUTER_CLASS) >>> OUTER_CLASS_FIXED) & 0xff;
}

/** Notes that a datagram of `length` bytes is sent: a path that carries large ones is looked after. */
export function noteLength(node: u32, length: u32): void {
  if (length > IPV6_MTU_MIN) store<u32>(metricsAt(node), 1, NODE_LARGE_SENT);
}

/** Holds until UDP_SEGMENT is switched on anew: the route may have changed since. */
export function refuseGso(node: u32): void {
  store<u32>(metricsAt(node), load<u32>(HEADER_AT, HEADER_GSO_TRIAL), NODE_GSO_REFUSED);
}

/**
 * The largest packet that the path to a node has to take, u32.MAX_VALUE = not known. What it is less than 1,280 bytes
 * short of is sent in fragments of the outer datagram: a link that IPv6 uses must take that much (RFC 8200 section 5,
 * RFC 2473 section 7.1).
 */
export function pathMtu(node: u32): u32 {
  const mtu = learntMtu(node);
  return mtu == 0 ? u32.MAX_VALUE : max(mtu, IPV6_MTU_MIN);
}

/** The largest packet that needs no fragments of the outer datagram, 0 = not known. */
export function learntMtu(node: u32): u32 {
  return load<u32>(metricsAt(node), NODE_MTU);
}

/** False when the node answered probes once and does not any more. */
export function isReachable(node: u32): bool {
  return load<u32>(metricsAt(node), NODE_HEALTH) != NodeHealth.lost;
}

/** Flows are held against it anew, and policies see it. */
export function setHealth(metrics: usize, health: NodeHealth, nowUs: f64): void {
  if (load<u32>(metrics, NODE_HEALTH) == health) return;
  store<u32>(metrics, health, NODE_HEALTH);
  store<f64>(metrics, nowUs, NODE_SINCE_US);
  atomic.add<u32>(HEADER_AT, 1, HEADER_METRICS_EPOCH);
  atomic.add<u32>(HEADER_AT, 1, HEADER_HEALTH_EPOCH);
}

/**
 * Takes a round-trip sample. The lowest of the last few is the estimate: queueing only ever adds to a sample, so that
 * one busy moment does not move traffic elsewhere, while a real change shows after RTT_SAMPLE_COUNT probes.
 */
export function addRttSample(node: u32, rttUs: u32): void {
  const at = metricsAt(node);
  const next = load<u32>(at, NODE_RTT_NEXT);
  store<u32>(at + (next << 2), max<u32>(rttUs, 1), NODE_RTT_SAMPLES);
  store<u32>(at, (next + 1) % RTT_SAMPLE_COUNT, NODE_RTT_NEXT);
  let lowest: u32 = u32.MAX_VALUE;
  for (let i: u32 = 0; i < <u32>RTT_SAMPLE_COUNT; i++) {
    const sample = load<u32>(at + (i << 2), NODE_RTT_SAMPLES);
    if (sample != 0 && sample < lowest) lowest = sample;
  }
  if (lowest == load<u32>(at, NODE_RTT_US)) return;
  store<u32>(at, lowest, NODE_RTT_US);
  atomic.add<u32>(HEADER_AT, 1, HEADER_METRICS_EPOCH);
}

function nodeAt(node: u32): usize {
  return nodesAt + <usize>node * NODE_SIZE;
}
