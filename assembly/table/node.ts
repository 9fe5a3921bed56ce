// Node records: where a node's tunnel is, whether it can be reached, and what was measured of the way there.

import { placeInForce } from "../area/generation.ts";
import { nodeMetricsAt, nodesAt } from "../area/regions.ts";
import * as Header from "../record/header.ts";
import { Endpoint, Node } from "../record/node.ts";
import { NodeMetrics } from "../record/node-metrics.ts";
import * as AddressLayout from "../shared/layout/address.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as NodeMetricsLayout from "../shared/layout/node-metrics.ts";
import { NodeHealth } from "../shared/layout/node-metrics.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";
import { isV4Mapped, sameAddress } from "./address.ts";

// Outer IP and UDP header
const OVERHEAD_V4: u32 = 28;
const OVERHEAD_V6: u32 = 48;

export function isNodeKnown(node: u32): bool {
  return Node.at(nodeAt(node)).state == AddressLayout.SLOT_USED;
}

/** The sockaddr_in6 of the node's tunnel. */
export function endpointAt(node: u32): usize {
  const at = nodeAt(node);
  return at + NodeLayout.ENDPOINTS + <usize>placeInForce(Node.at(at).loadVersion()) * NodeLayout.ENDPOINT_SIZE;
}

/** Whether two sockaddrs name one address and port. */
export function isSameEndpoint(a: usize, b: usize): bool {
  const isSamePort = Endpoint.at(a).port == Endpoint.at(b).port;
  return isSamePort && sameAddress(Endpoint.at(a).address, Endpoint.at(b).address);
}

/** Whether the sockaddr at `name` is the node's tunnel, address and port. */
export function isEndpoint(name: usize, node: u32): bool {
  return node != NodeLayout.LOCAL && isSameEndpoint(name, endpointAt(node));
}

/** Outer IP and UDP header of what goes to the sockaddr at `name`. */
export function overheadTo(name: usize): u32 {
  return isV4Mapped(Endpoint.at(name).address) ? OVERHEAD_V4 : OVERHEAD_V6;
}

/** The next node behind `node` with the address of the sockaddr at `name`, or NodeLayout.LOCAL. */
export function nodeBehind(name: usize, node: u32): u32 {
  const address = Endpoint.at(name).address;
  const nodes = Header.nodeCount.value;
  while (++node < nodes) {
    if (isNodeKnown(node) && sameAddress(Endpoint.at(endpointAt(node)).address, address)) return node;
  }
  return NodeLayout.LOCAL;
}

/** 1 + the health page that the node is to be asked for, 0 = none. */
export function wantedPage(node: u32): u32 {
  return Node.at(nodeAt(node)).loadWantedPage();
}

export function metricsOf(node: u32): NodeMetrics {
  return NodeMetrics.at(nodeMetricsAt + <usize>node * NodeMetricsLayout.SIZE);
}

/** Whether the kernel may cut a message to the node into datagrams, which have to fit the path in one piece. */
export function takesGso(node: u32): bool {
  if ((Header.offloads.value & HeaderLayout.OFFLOAD_UDP_GSO) == 0) return false;
  return metricsOf(node).gsoRefused != Header.gsoTrial.value;
}

/** Whether a datagram of `length` bytes fits the path in one piece, as far as is known. */
export function fitsWhole(node: u32, length: u32): bool {
  return length - 1 <= metricsOf(node).whole - 1; // one that is not known is the largest
}

/** The bits of a packet's TOS or traffic class that its outer header has as well on the way to a node. */
export function copiedClass(node: u32): u32 {
  const takesEcn = metricsOf(node).takesEcn != 0;
  const from = takesEcn ? HeaderLayout.OUTER_CLASS_COPIED : HeaderLayout.OUTER_CLASS_COPIED_COMPATIBLY;
  return (Header.outerClass.value >>> from) & 0xff;
}

/** The bits that every outer header has. */
export function fixedClass(): u32 {
  return (Header.outerClass.value >>> HeaderLayout.OUTER_CLASS_FIXED) & 0xff;
}

/**
 * Notes that a datagram of `length` bytes is sent: a path that carries large ones is looked after. Workers look at the
 * cache line with each message, so that a store with each would take it from the others.
 */
export function noteLength(node: u32, length: u32): void {
  if (length <= IPV6_MTU_MIN) return;
  const metrics = metricsOf(node);
  if (metrics.largeSent == 0) metrics.largeSent = 1;
}

/** Holds until UDP_SEGMENT is switched on anew: the route may have changed since. */
export function refuseGso(node: u32): void {
  metricsOf(node).gsoRefused = Header.gsoTrial.value;
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
  return metricsOf(node).mtu;
}

/** False when the node answered probes once and does not any more. */
export function isReachable(node: u32): bool {
  return metricsOf(node).health != NodeHealth.lost;
}

/** Flows are held against it anew, and policies see it. */
export function setHealth(metrics: NodeMetrics, health: NodeHealth, nowUs: f64): void {
  if (metrics.health == health) return;
  metrics.health = health;
  metrics.sinceUs = nowUs;
  if (health == NodeHealth.lost) metrics.takesEcn = 0; // another program may be there when it returns
  Header.metricsEpoch.add(1);
  Header.healthEpoch.add(1);
  Header.healthEpoch.notify();
}

/**
 * Takes a round-trip sample. The lowest of the last few is the estimate: queueing only ever adds to a sample, so that
 * one busy moment does not move traffic elsewhere, while a real change shows after NodeMetricsLayout.RTT_SAMPLE_COUNT
 * probes.
 */
export function addRttSample(node: u32, rttUs: u32): void {
  const metrics = metricsOf(node);
  const next = metrics.rttNext.value;
  metrics.rttSample(next).value = max<u32>(rttUs, 1);
  metrics.rttNext.value = (next + 1) % NodeMetricsLayout.RTT_SAMPLE_COUNT;
  let lowest: u32 = u32.MAX_VALUE;
  for (let i: u32 = 0; i < <u32>NodeMetricsLayout.RTT_SAMPLE_COUNT; i++) {
    const sample = metrics.rttSample(i).value;
    if (sample != 0 && sample < lowest) lowest = sample;
  }
  if (lowest == metrics.rttUs) return;
  metrics.rttUs = lowest;
  Header.metricsEpoch.add(1);
}

function nodeAt(node: u32): usize {
  return nodesAt + <usize>node * NodeLayout.SIZE;
}
