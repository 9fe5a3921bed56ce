// Which flow goes when there is no room for a new one: first one that nobody answers, then one that is closed, then the
// longest unused. But a workload does not take what another one uses: an established flow of another workload goes only
// if that workload has more than its share, and a workload that has its share loses flows of its own.

import { flowLimit, workerAt } from "../area/regions.ts";
import {
  FLOW_BUCKET_ENTRY_COUNT,
  FLOW_CLIENT_INCARNATION,
  FLOW_CLIENT_INSTANCE,
  FLOW_SEEN,
  FLOW_SEEN_REPLY,
  FLOW_STATE,
  FlowState,
  HEADER_AT,
  HEADER_CLIENT_COUNT,
  WORKER_EVICT_CURSOR,
} from "../shared/layout.ts";
import { entryAt, recordOf } from "./bucket.ts";
import { flowAt, idleTime, recordEnd } from "./flow-record.ts";
import { calledFlows, incarnation } from "./instance.ts";

/** Live records that the search for a victim compares, if one of them may go; else it goes on. */
const SAMPLE = 64;
/** Records that it looks at in all. */
const STEPS = 1024;
/** Entries of a bucket beyond which a client has too many of them. */
const BUCKET_SHARE: u32 = 7;

enum Use {
  established,
  closed,
  unanswered,
}

/** Ranks above every idle time. */
const ABOVE_SHARE: u64 = 1 << 32;
const USE_SHIFT: u64 = 33;

/** The flow that makes room in a full table for one of `client`, or 0. */
export function victim(client: u32, nowMs: u32): usize {
  const end = recordEnd();
  const isAbove = (<u64>calledFlows(client) + 1) * clientCount() > <u64>flowLimit;
  let cursor = load<u32>(workerAt, WORKER_EVICT_CURSOR);
  let best: usize = 0;
  let bestRank: u64 = 0;
  let seen = 0;
  for (let step = 0; step < STEPS && (seen < SAMPLE || best == 0); step++) {
    cursor = cursor + 1 < end ? cursor + 1 : 1;
    const flow = flowAt(cursor);
    if (load<u8>(flow, FLOW_STATE) == FlowState.free) continue;
    seen++;
    const owner = load<u32>(flow, FLOW_CLIENT_INSTANCE);
    if (isAbove && owner != client) continue;
    const isOwnerAbove = <u64>calledFlows(owner) * clientCount() > <u64>flowLimit;
    const use = useOf(flow, owner);
    if (use == Use.established && !isOwnerAbove && owner != client) continue;
    const rank = rankOf(flow, use, isOwnerAbove, nowMs);
    if (best != 0 && rank <= bestRank) continue;
    best = flow;
    bestRank = rank;
  }
  store<u32>(workerAt, cursor, WORKER_EVICT_CURSOR);
  return best;
}

/** The flow that makes room in a full bucket for one of `client`, or 0. */
export function victimIn(bucket: usize, client: u32, nowMs: u32): usize {
  const isAbove = entriesOf(bucket, client) > BUCKET_SHARE;
  let best: usize = 0;
  let bestRank: u64 = 0;
  for (let i = 0; i < FLOW_BUCKET_ENTRY_COUNT; i++) {
    const flow = entryFlow(bucket, i);
    if (flow == 0) continue;
    const owner = load<u32>(flow, FLOW_CLIENT_INSTANCE);
    if (isAbove && owner != client) continue;
    const isOwnerAbove = entriesOf(bucket, owner) > BUCKET_SHARE;
    const use = useOf(flow, owner);
    if (use == Use.established && !isOwnerAbove && owner != client) continue;
    const rank = rankOf(flow, use, isOwnerAbove, nowMs);
    if (best != 0 && rank <= bestRank) continue;
    best = flow;
    bestRank = rank;
  }
  return best;
}

function rankOf(flow: usize, use: Use, isOwnerAbove: bool, nowMs: u32): u64 {
  return ((<u64>use) << USE_SHIFT) | (isOwnerAbove ? ABOVE_SHARE : 0) | idleTime(flow, nowMs);
}

/** A flow whose client is gone is used by nobody. */
function useOf(flow: usize, owner: u32): Use {
  if (incarnation(owner) != load<u32>(flow, FLOW_CLIENT_INCARNATION)) return Use.unanswered;
  const state = load<u8>(flow, FLOW_STATE);
  if (state == FlowState.tcpClosed) return Use.closed;
  const isAnswered = (load<u8>(flow, FLOW_SEEN) & FLOW_SEEN_REPLY) != 0;
  return isAnswered && state != FlowState.tcpOpening ? Use.established : Use.unanswered;
}

function clientCount(): u64 {
  return max<u32>(1, atomic.load<u32>(HEADER_AT, HEADER_CLIENT_COUNT));
}

function entriesOf(bucket: usize, client: u32): u32 {
  let entries: u32 = 0;
  for (let i = 0; i < FLOW_BUCKET_ENTRY_COUNT; i++) {
    const flow = entryFlow(bucket, i);
    if (flow != 0 && load<u32>(flow, FLOW_CLIENT_INSTANCE) == client) entries++;
  }
  return entries;
}

/** The flow that an entry of a bucket leads to, or 0; also 0 for one that begins or ends just now. */
function entryFlow(bucket: usize, index: u32): usize {
  const record = recordOf(load<u32>(entryAt(bucket, index)));
  if (record == 0) return 0;
  const flow = flowAt(record);
  return load<u8>(flow, FLOW_STATE) == FlowState.free ? 0 : flow;
}
