// Node records: where a node's tunnel is, and what was measured of the way there.

import {
  HEADER_AT,
  HEADER_GSO_TRIAL,
  HEADER_METRICS_EPOCH,
  HEADER_NODE_COUNT,
  HEADER_OFFLOADS,
  HEADER_PROBE_INTERVAL_MS,
  LOCAL_NODE,
  NODE_ENDPOINT_SIZE,
  NODE_ENDPOINTS,
  NODE_GSO_REFUSED,
  NODE_LAST_PROBE_MS,
  NODE_LAST_REPLY_MS,
  NODE_METRICS_SIZE,
  NODE_MTU,
  NODE_MTU_LEARNT_MS,
  NODE_REFUSED_MS,
  NODE_REPLIES_RECEIVED,
  NODE_RTT_NEXT,
  NODE_RTT_SAMPLES,
  NODE_RTT_US,
  NODE_SIZE,
  NODE_STATE,
  NODE_VERSION,
  OFFLOAD_UDP_GSO,
  RTT_SAMPLE_COUNT,
  SLOT_USED,
  SOCKADDR_ADDRESS,
  SOCKADDR_PORT,
} from "../shared/layout.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";
import { isV4Mapped, sameAddress } from "./address.ts";
import { placeInForce } from "./generation.ts";
import { nodeMetricsAt, nodesAt } from "./regions.ts";

// Outer IP and UDP header
const OVERHEAD_V4: u32 = 28;
const OVERHEAD_V6: u32 = 48;
/** Smaller ones are not believed, as Linux does not (net.ipv4.route.min_pmtu). */
const OUTER_MTU_MIN: u32 = 552;
const MTU_MIN: u32 = OUTER_MTU_MIN - OVERHEAD_V6;
/** As long as Linux believes in a path MTU that it learnt (net.ipv4.route.mtu_expires). */
const MTU_LIFETIME_MS: u32 = 600_000;
/** A node that is there again answers the next probe; without probes, the next datagram asks. */
const REFUSAL_LIFETIME_MS: u32 = 1000;
const SILENCE_MS: u32 = 3000;

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

export function metricsAt(node: u32): usize {
  return nodeMetricsAt + <usize>node * NODE_METRICS_SIZE;
}

/** Whether a datagram of `length` bytes may be cut from a larger message: only by a path that it fits in one piece. */
export function takesGso(node: u32, length: u32): bool {
  if ((load<u32>(HEADER_AT, HEADER_OFFLOADS) & OFFLOAD_UDP_GSO) == 0) return false;
  const metrics = metricsAt(node);
  if (load<u32>(metrics, NODE_GSO_REFUSED) == load<u32>(HEADER_AT, HEADER_GSO_TRIAL)) return false;
  return length <= MTU_MIN || length - 1 <= load<u32>(metrics, NODE_MTU) - 1; // one that is not known is the largest
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
  const mtu = load<u32>(metricsAt(node), NODE_MTU);
  return mtu == 0 ? u32.MAX_VALUE : max(mtu, IPV6_MTU_MIN);
}

/** The largest packet that needs no fragments of the outer datagram, 0 = not known. */
export function learntMtu(node: u32, nowMs: u32): u32 {
  const mtu = load<u32>(metricsAt(node), NODE_MTU);
  return mtu == 0 || forgetsMtu(node, nowMs) ? 0 : mtu;
}

/**
 * To be asked where it makes a difference. A path may have become wider, which nobody tells: what was learnt is
 * forgotten after a while, and the next packet finds out (RFC 1191 section 6.3).
 */
export function forgetsMtu(node: u32, nowMs: u32): bool {
  const metrics = metricsAt(node);
  if (nowMs - load<u32>(metrics, NODE_MTU_LEARNT_MS) < MTU_LIFETIME_MS) return false;
  store<u32>(metrics, 0, NODE_MTU);
  return true;
}

/** The path to the machine at `name`, a sockaddr, takes datagrams of `outerMtu` bytes, all headers included. */
export function learnMtu(name: usize, outerMtu: u32, nowMs: u32): void {
  const address = v128.load(name, SOCKADDR_ADDRESS);
  const overhead = isV4Mapped(address) ? OVERHEAD_V4 : OVERHEAD_V6;
  if (outerMtu < OUTER_MTU_MIN) return;
  for (let node = nodeBehind(address, LOCAL_NODE); node != LOCAL_NODE; node = nodeBehind(address, node)) {
    const metrics = metricsAt(node);
    const mtu = outerMtu - overhead;
    // A refusal of UDP_SEGMENT was perhaps about the size.
    if (mtu != load<u32>(metrics, NODE_MTU)) store<u32>(metrics, 0, NODE_GSO_REFUSED);
    store<u32>(metrics, mtu, NODE_MTU);
    store<u32>(metrics, nowMs, NODE_MTU_LEARNT_MS);
  }
}

/** Nobody at `name`, a sockaddr, takes our datagrams. */
export function learnRefusal(name: usize, nowMs: u32): void {
  const address = v128.load(name, SOCKADDR_ADDRESS);
  for (let node = nodeBehind(address, LOCAL_NODE); node != LOCAL_NODE; node = nodeBehind(address, node)) {
    store<u32>(metricsAt(node), max<u32>(nowMs, 1), NODE_REFUSED_MS);
  }
}

/**
 * Whether a node that once answered probes seems to be gone: it, or somebody on the way, refuses our datagrams, or it
 * answers no more. One that never answered may be no sapwood, so nothing is said of it.
 */
export function isReachable(node: u32, nowMs: u32): bool {
  const metrics = metricsAt(node);
  if (node == LOCAL_NODE || load<u32>(metrics, NODE_REPLIES_RECEIVED) == 0) return true;
  const lastReplyMs = load<u32>(metrics, NODE_LAST_REPLY_MS);
  const refusedMs = load<u32>(metrics, NODE_REFUSED_MS);
  const isRefused = refusedMs != 0 && <i32>(refusedMs - lastReplyMs) > 0 && nowMs - refusedMs < REFUSAL_LIFETIME_MS;
  const silentMs = <i32>(load<u32>(metrics, NODE_LAST_PROBE_MS) - lastReplyMs);
  const patienceMs = max<u32>(SILENCE_MS, 2 * load<u32>(HEADER_AT, HEADER_PROBE_INTERVAL_MS));
  return !isRefused && silentMs <= <i32>patienceMs;
}

/** The next node behind `node` with this address, or LOCAL_NODE. */
function nodeBehind(address: v128, node: u32): u32 {
  const nodes = load<u32>(HEADER_AT, HEADER_NODE_COUNT);
  while (++node < nodes) {
    if (isNodeKnown(node) && sameAddress(v128.load(endpointAt(node), SOCKADDR_ADDRESS), address)) return node;
  }
  return LOCAL_NODE;
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
