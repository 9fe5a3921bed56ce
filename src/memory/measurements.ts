// Reads what the data plane measures: round-trip times to the nodes, flows per instance.

import {
  HEADER_AT,
  HEADER_CLIENT_COUNT,
  HEADER_GSO_TRIAL,
  INSTANCE_LOAD_CALLED,
  INSTANCE_LOAD_SERVED,
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

/**
 * The record stands for another instance from now on, which begins with no flows. Flows of the one before, which end
 * later, are not counted down on it: their incarnation is another one.
 */
export function resetInstanceLoad(shared: SharedMemory, instance: number, incarnation: number): void {
  const counts = new BigInt64Array(shared.memory.buffer);
  const at = shared.at(Region.instanceLoads) + instance * INSTANCE_LOAD_SIZE;
  const none = BigInt.asIntN(64, BigInt(incarnation) << 32n);
  Atomics.store(counts, (at + INSTANCE_LOAD_SERVED) / 8, none);
  const called = Atomics.exchange(counts, (at + INSTANCE_LOAD_CALLED) / 8, none);
  if (BigInt.asIntN(32, called) > 0n) Atomics.sub(shared.i32, (HEADER_AT + HEADER_CLIENT_COUNT) >>> 2, 1);
}

/** Flows of this node's clients to service addresses that the instance serves now. */
export function readInstanceLoad(shared: SharedMemory, instance: number): number {
  const at = shared.at(Region.instanceLoads) + instance * INSTANCE_LOAD_SIZE + INSTANCE_LOAD_SERVED;
  return Math.max(0, Atomics.load(shared.i32, at >>> 2)); // below 0 for a moment, as in table/instance.ts
}
