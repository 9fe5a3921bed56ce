// Which flow goes when there is no room for a new one: first one that nobody answers, then one that is closed, then the
// longest unused. But a workload does not take what another one uses: an established flow of another workload goes only
// if that workload has more than its share, and a workload that has its share loses flows of its own.

import { flowLimit, workerAt } from "../area/regions.ts";
import { Flow } from "../record/flow.ts";
import * as Header from "../record/header.ts";
import { WorkerArea } from "../record/worker.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import { FlowState } from "../shared/layout/flow.ts";
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
  let cursor = WorkerArea.at(workerAt).evictCursor;
  let best: usize = 0;
  let bestRank: u64 = 0;
  let seen = 0;
  for (let step = 0; step < STEPS && (seen < SAMPLE || best == 0); step++) {
    cursor = cursor + 1 < end ? cursor + 1 : 1;
    const flow = flowAt(cursor);
    if (Flow.at(flow).state == FlowState.free) continue;
    seen++;
    const owner = Flow.at(flow).clientInstance;
    if (isAbove && owner != client) continue;
    const isOwnerAbove = <u64>calledFlows(owner) * clientCount() > <u64>flowLimit;
    const rank = rankOf(flow, client, isOwnerAbove, nowMs);
    if (rank <= bestRank) continue;
    best = flow;
    bestRank = rank;
  }
  WorkerArea.at(workerAt).evictCursor = cursor;
  return best;
}

/** The flow that makes room in a full bucket for one of `client`, or 0. */
export function victimIn(bucket: usize, client: u32, nowMs: u32): usize {
  const isAbove = entriesOf(bucket, client) > BUCKET_SHARE;
  let best: usize = 0;
  let bestRank: u64 = 0;
  for (let i = 0; i < FlowLayout.BUCKET_ENTRY_COUNT; i++) {
    const flow = entryFlow(bucket, i);
    if (flow == 0) continue;
    const owner = Flow.at(flow).clientInstance;
    if (isAbove && owner != client) continue;
    const rank = rankOf(flow, client, entriesOf(bucket, owner) > BUCKET_SHARE, nowMs);
    if (rank <= bestRank) continue;
    best = flow;
    bestRank = rank;
  }
  return best;
}

/** The larger, the sooner the flow goes for one of `client`; 0 if it must not. */
function rankOf(flow: usize, client: u32, isOwnerAbove: bool, nowMs: u32): u64 {
  const owner = Flow.at(flow).clientInstance;
  const use = useOf(flow, owner);
  if (use == Use.established && !isOwnerAbove && owner != client) return 0;
  return ((<u64>use + 1) << USE_SHIFT) | (isOwnerAbove ? ABOVE_SHARE : 0) | idleTime(flow, nowMs);
}

/** A flow whose client is gone is not used any more. That of an unbound one is not known yet. */
function useOf(flow: usize, owner: u32): Use {
  const isGone = !Flow.at(flow).isUnbound && incarnation(owner) != Flow.at(flow).clientIncarnation;
  if (isGone) return Use.unanswered;
  const state = <u32>Flow.at(flow).state & ~FlowLayout.UNBOUND;
  if (state == FlowState.tcpClosed) return Use.closed;
  const isAnswered = (Flow.at(flow).seen & FlowLayout.SEEN_REPLY) != 0;
  return isAnswered && state != FlowState.tcpOpening ? Use.established : Use.unanswered;
}

function clientCount(): u64 {
  return max<u32>(1, Header.clientCount.load());
}

function entriesOf(bucket: usize, client: u32): u32 {
  let entries: u32 = 0;
  for (let i = 0; i < FlowLayout.BUCKET_ENTRY_COUNT; i++) {
    const flow = entryFlow(bucket, i);
    if (flow != 0 && Flow.at(flow).clientInstance == client) entries++;
  }
  return entries;
}

/** The flow that an entry of a bucket leads to, or 0; also 0 for one that begins or ends just now. */
function entryFlow(bucket: usize, index: u32): usize {
  const record = recordOf(entryAt(bucket, index).value);
  if (record == 0) return 0;
  const flow = flowAt(record);
  return Flow.at(flow).state == FlowState.free ? 0 : flow;
}
