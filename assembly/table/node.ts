// Node records: where a node's tunnel is, and what was measured of the way there.

import {
  HEADER_AT,
  HEADER_GSO_TRIAL,
  HEADER_METRICS_EPOCH,
  HEADER_OFFLOADS,
  LOCAL_NODE,
  NODE_ENDPOINT_SIZE,
  NODE_ENDPOINTS,
  NODE_GSO_REFUSED,
  NODE_METRICS_SIZE,
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
} from "../shared/layout.ts";
import { sameAddress } from "./address.ts";
import { placeInForce } from "./generation.ts";
import { nodeMetricsAt, nodesAt } from "./regions.ts";

export function isNodeKnown(node: u32): bool {
  return load<u32>(nodeAt(node), NODE_STATE) == SLOT_USED;
}

/** The sockaddr_in6 of the node's tunnel. */
export function endpointAt(node: u32): usize {
  const at = nodeAt(node);
  return at + NODE_ENDPOINTS + <usize>placeInForce(atomic.load<u32>(at, NODE_VERSION)) * NODE_ENDPOINT_SIZE;
}

/**
 * Whether the sockaddr at `sender` has the node's address. The port may differ: peers send from any port.
 * Nothing that comes through the tunnel is from this node itself.
 */
export function isFromNode(sender: usize, node: u32): bool {
  if (node == LOCAL_NODE) return false;
  return sameAddress(v128.load(sender, SOCKADDR_ADDRESS), v128.load(endpointAt(node), SOCKADDR_ADDRESS));
}

export function metricsAt(node: u32): usize {
  return nodeMetricsAt + <usize>node * NODE_METRICS_SIZE;
}

export function takesGso(node: u32): bool {
  if ((load<u32>(HEADER_AT, HEADER_OFFLOADS) & OFFLOAD_UDP_GSO) == 0) return false;
  return load<u32>(metricsAt(node), NODE_GSO_REFUSED) != load<u32>(HEADER_AT, HEADER_GSO_TRIAL);
}

/** Holds until UDP_SEGMENT is switched on anew: the route may have changed since. */
export function refuseGso(node: u32): void {
  store<u32>(metricsAt(node), load<u32>(HEADER_AT, HEADER_GSO_TRIAL), NODE_GSO_REFUSED);
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
