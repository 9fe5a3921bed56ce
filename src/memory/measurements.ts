// Reads what the data plane measures: round-trip times to the nodes, flows per instance.

import {
  HEADER_AT,
  HEADER_GSO_TRIAL,
  INSTANCE_LOAD_SIZE,
  NODE_GSO_REFUSED,
  NODE_LAST_REPLY_MS,
  NODE_METRICS_SIZE,
  NODE_MTU,
  NODE_PROBES_SENT,
  NODE_REPLIES_RECEIVED,
  NODE_RTT_US,
  Region,
} from "../../assembly/shared/layout.ts";
import type { SharedMemory } from "./shared-memory.ts";

export interface NodeMetrics {
  readonly rttUs: number | null; // null = not measured
  readonly probesSent: number;
  readonly repliesReceived: number;
  readonly lastReplyAgeMs: number | null; // null = it never answered
  readonly mtu: number | null; // largest packet that fits the path; null = none was too large yet
  readonly takesGso: boolean; // false after the path refused UDP_SEGMENT
}

/** `nowMs` is of the workers' clock, whose milliseconds wrap at 2^32. */
export function readNodeMetrics(shared: SharedMemory, node: number, nowMs: number): NodeMetrics {
  const at = shared.at(Region.nodeMetrics) + node * NODE_METRICS_SIZE;
  const u32 = (offset: number): number => shared.u32[(at + offset) >>> 2] ?? 0;
  const repliesReceived = u32(NODE_REPLIES_RECEIVED);
  const ageMs = Math.max(0, (Math.trunc(nowMs % 2 ** 32) - u32(NODE_LAST_REPLY_MS)) | 0);
  return {
    rttUs: u32(NODE_RTT_US) === 0 ? null : u32(NODE_RTT_US),
    probesSent: u32(NODE_PROBES_SENT),
    repliesReceived,
    lastReplyAgeMs: repliesReceived === 0 ? null : ageMs,
    mtu: u32(NODE_MTU) === 0 ? null : u32(NODE_MTU),
    takesGso: u32(NODE_GSO_REFUSED) !== shared.u32[(HEADER_AT + HEADER_GSO_TRIAL) >>> 2],
  };
}

/** Flows of this node's clients to service addresses that the instance serves now. */
export function readInstanceLoad(shared: SharedMemory, instance: number): number {
  return Atomics.load(shared.i32, (shared.at(Region.instanceLoads) + instance * INSTANCE_LOAD_SIZE) >>> 2);
}
