// Reads what the data plane measures: whether the nodes can be reached and how fast they answer, flows per instance.

import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import { NodeHealth } from "../../assembly/shared/layout/node-metrics.ts";
import type { SharedMemory } from "./shared-memory.ts";

export type NodeHealthName = keyof typeof NodeHealth;

interface NodeMetrics {
  readonly health: NodeHealthName;
  readonly healthAgeMs: number | null; // since it is so; null = from the start
  readonly rttUs: number | null; // null = not measured
  readonly lastReplyAgeMs: number | null; // null = it never answered
  readonly mtu: number | null; // largest packet that fits the path; null = no limit was met
  readonly takesGso: boolean; // false after the path refused UDP_SEGMENT
}

/** `nowMs` is of the workers' clock, fractions included. */
export function readNodeMetrics(shared: SharedMemory, node: number, nowMs: number): NodeMetrics {
  const at = shared.at(Region.nodeMetrics) + node * NodeMetricsLayout.SIZE;
  const u32 = (offset: number): number => shared.u32[(at + offset) >>> 2] ?? 0;
  const ageMs = (offset: number): number | null => {
    const sinceUs = shared.f64[(at + offset) >>> 3] ?? 0;
    return sinceUs === 0 ? null : Math.max(0, nowMs - sinceUs / 1000);
  };
  return {
    health: NodeHealth[u32(NodeMetricsLayout.HEALTH)] as NodeHealthName,
    healthAgeMs: ageMs(NodeMetricsLayout.SINCE_US),
    rttUs: u32(NodeMetricsLayout.RTT_US) === 0 ? null : u32(NodeMetricsLayout.RTT_US),
    lastReplyAgeMs: ageMs(NodeMetricsLayout.HEARD_US),
    mtu: u32(NodeMetricsLayout.MTU) === 0 ? null : u32(NodeMetricsLayout.MTU),
    takesGso: u32(NodeMetricsLayout.GSO_REFUSED) !== shared.u32[(HeaderLayout.AT + HeaderLayout.GSO_TRIAL) >>> 2],
  };
}

/** A probe that is younger may still be answered. */
const ANSWER_WAIT_MS = 1000;

/**
 * The part of the last NodeMetricsLayout.PROBE_COUNT probes that was not answered; null as long as none is old enough
 * to tell.
 */
export function readProbeLoss(shared: SharedMemory, node: number, nowMs: number): number | null {
  const probesAt = shared.at(Region.nodeMetrics) + node * NodeMetricsLayout.SIZE + NodeMetricsLayout.PROBES;
  let sent = 0;
  let lost = 0;
  for (
    let at = probesAt;
    at < probesAt + NodeMetricsLayout.PROBE_COUNT * NodeMetricsLayout.PROBE_NOTE_SIZE;
    at += NodeMetricsLayout.PROBE_NOTE_SIZE
  ) {
    const word = (offset: number): number => shared.u32[(at + offset) >>> 2] ?? 0;
    const sentUs = shared.f64[(at + NodeMetricsLayout.PROBE_NOTE_SENT_US) >>> 3] ?? 0;
    const isAnswered =
      word(NodeMetricsLayout.PROBE_NOTE_NONCE) === 0 && word(NodeMetricsLayout.PROBE_NOTE_NONCE + 4) === 0;
    if (word(NodeMetricsLayout.PROBE_NOTE_VALUE) === 0 || (!isAnswered && nowMs - sentUs / 1000 < ANSWER_WAIT_MS))
      continue;
    sent += 1;
    if (!isAnswered) lost += 1;
  }
  return sent === 0 ? null : lost / sent;
}

/** Another number whenever a node was lost, returned, or answered for the first time. */
export function healthEpoch(shared: SharedMemory): number {
  return Atomics.load(shared.i32, (HeaderLayout.AT + HeaderLayout.HEALTH_EPOCH) >>> 2);
}

/** Resolves when the epoch is another one than `known`. Keeps no process alive. */
export async function nextHealthEpoch(shared: SharedMemory, known: number): Promise<void> {
  await Atomics.waitAsync(shared.i32, (HeaderLayout.AT + HeaderLayout.HEALTH_EPOCH) >>> 2, known).value;
}

/**
 * The record is that of another instance from now on, which begins with no flows. Flows of the one before, which end
 * later, are not counted down on it: their incarnation is another one.
 */
export function resetInstanceLoad(shared: SharedMemory, instance: number, incarnation: number): void {
  const counts = new BigInt64Array(shared.memory.buffer);
  const at = shared.at(Region.instanceLoads) + instance * InstanceLayout.LOAD_SIZE;
  const none = BigInt.asIntN(64, BigInt(incarnation) << 32n);
  Atomics.store(counts, (at + InstanceLayout.LOAD_SERVED) / 8, none);
  const called = Atomics.exchange(counts, (at + InstanceLayout.LOAD_CALLED) / 8, none);
  if (BigInt.asIntN(32, called) > 0n) Atomics.sub(shared.i32, (HeaderLayout.AT + HeaderLayout.CLIENT_COUNT) >>> 2, 1);
}

/** Flows of this node's clients to service addresses that the instance serves now. */
export function readInstanceLoad(shared: SharedMemory, instance: number): number {
  const at = shared.at(Region.instanceLoads) + instance * InstanceLayout.LOAD_SIZE + InstanceLayout.LOAD_SERVED;
  return Math.max(0, Atomics.load(shared.i32, at >>> 2)); // below 0 for a moment, as in table/instance.ts
}

/** Number of the last probe that was sent to a node; those of sizes have none. */
export function lastProbe(shared: SharedMemory, node: number): number {
  const at = shared.at(Region.nodeMetrics) + node * NodeMetricsLayout.SIZE;
  return Atomics.load(shared.u32, (at + NodeMetricsLayout.PROBES_SENT) >>> 2);
}

/** Whether a probe was answered; one that so many others followed that it is forgotten was not. */
export function isProbeAnswered(shared: SharedMemory, node: number, number: number): boolean {
  const at =
    shared.at(Region.nodeMetrics) +
    node * NodeMetricsLayout.SIZE +
    NodeMetricsLayout.PROBES +
    (number % NodeMetricsLayout.PROBE_COUNT) * NodeMetricsLayout.PROBE_NOTE_SIZE;
  const word = (offset: number): number => Atomics.load(shared.u32, (at + offset) >>> 2);
  return (
    word(NodeMetricsLayout.PROBE_NOTE_VALUE) === number &&
    word(NodeMetricsLayout.PROBE_NOTE_NONCE) === 0 &&
    word(NodeMetricsLayout.PROBE_NOTE_NONCE + 4) === 0
  );
}

/** The last round trip that was measured, in microseconds, and a number that is another one after the next. */
export function lastRoundTrip(shared: SharedMemory, node: number): { readonly place: number; readonly rttUs: number } {
  const at = shared.at(Region.nodeMetrics) + node * NodeMetricsLayout.SIZE;
  const place = Atomics.load(shared.u32, (at + NodeMetricsLayout.RTT_NEXT) >>> 2);
  const before = (place + NodeMetricsLayout.RTT_SAMPLE_COUNT - 1) % NodeMetricsLayout.RTT_SAMPLE_COUNT;
  return { place, rttUs: Atomics.load(shared.u32, (at + NodeMetricsLayout.RTT_SAMPLES + before * 4) >>> 2) };
}
