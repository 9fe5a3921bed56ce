// The header of the memory: a cell for each field. shared/layout/header.ts says what each means.

import * as HeaderLayout from "../shared/layout/header.ts";
import { Cell } from "./cell.ts";

export const generation = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.GENERATION);
export const workerCount = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.WORKER_COUNT);
export const outlierFailures = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.OUTLIER_FAILURES);
export const flowLimit = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.FLOW_LIMIT);
export const flowBucketMask = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.FLOW_BUCKET_MASK);
export const addressMask = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.ADDRESS_MASK);
export const workloadMask = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.WORKLOAD_MASK);
export const rangeCount = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.RANGE_COUNT);
export const nodeCount = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.NODE_COUNT);
export const metricsEpoch = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.METRICS_EPOCH);
export const flowCount = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.FLOW_COUNT);
export const flowNext = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.FLOW_NEXT);
export const probeIntervalMs = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.PROBE_INTERVAL_MS);
export const flowFree = changetype<Cell<u64>>(HeaderLayout.AT + HeaderLayout.FLOW_FREE);
export const offloads = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.OFFLOADS);
export const tunMtu = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.TUN_MTU);
export const answers = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.ANSWERS);
export const outerClass = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.OUTER_CLASS);
export const gsoTrial = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.GSO_TRIAL);
export const parkMs = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.PARK_MS);
export const parkPackets = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.PARK_PACKETS);
export const parkBytes = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.PARK_BYTES);
export const refusalCount = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.REFUSAL_COUNT);
export const senderMask = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.SENDER_MASK);
export const clientCount = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.CLIENT_COUNT);
export const repair = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.REPAIR);
/** The first of the words of that key. */
export const flowHashKey = changetype<Cell<u64>>(HeaderLayout.AT + HeaderLayout.FLOW_HASH_KEY);
export const ownAddressCount = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.OWN_ADDRESS_COUNT);
export const unboundEndMs = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.UNBOUND_END_MS);
export const flowRoom = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.FLOW_ROOM);
export const probeNonces = changetype<Cell<u64>>(HeaderLayout.AT + HeaderLayout.PROBE_NONCES);
export const attentiveMs = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.ATTENTIVE_MS);
export const attendedMs = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.ATTENDED_MS);
export const healthEpoch = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.HEALTH_EPOCH);
export const probePauseMs = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.PROBE_PAUSE_MS);
export const outlierEpoch = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.OUTLIER_EPOCH);
export const outlierUntilMs = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.OUTLIER_UNTIL_MS);
export const outlierPauseMs = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.OUTLIER_PAUSE_MS);
export const outlierUnansweredMs = changetype<Cell<u32>>(HeaderLayout.AT + HeaderLayout.OUTLIER_UNANSWERED_MS);

/** Unless somebody wants it shorter. */
export function shortenProbePause(ms: u32): void {
  const known = probePauseMs.load();
  if (ms < known) probePauseMs.exchangeIf(known, ms);
}

@unmanaged
export class Range {
  prefix: v128;
  mask: v128;
}

/** One of the service ranges. */
export function range(index: u32): Range {
  return changetype<Range>(HeaderLayout.AT + HeaderLayout.RANGES + index * HeaderLayout.RANGE_SIZE);
}

/** Address of the first byte of a region. */
export function regionAt(region: HeaderLayout.Region): usize {
  return load<u32>(HeaderLayout.AT + (region << 2), HeaderLayout.REGIONS);
}

/** Idle time after which a flow in this state ends. */
export function timeoutMs(state: u32): u32 {
  return load<u32>(HeaderLayout.AT + (state << 2), HeaderLayout.TIMEOUTS_MS);
}
