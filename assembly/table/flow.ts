// The flow table: find a flow by a packet of either direction, insert, end, sweep. Shared by all workers.
//
// A look-up may meet a record that another worker inserts or ends at that moment. Its key and translation are whole
// in both cases (bucket.ts, flow-record.ts), only its state is `free`; whoever changes the state must leave that be.

import { count } from "../frame/count.ts";
import { Counter } from "../shared/counters.ts";
import {
  FLOW_ANSWERED,
  FLOW_ANSWERS_CROSS,
  FLOW_CALLED,
  FLOW_CALLED_PORT,
  FLOW_CLIENT,
  FLOW_CLIENT_PORT,
  FLOW_INSTANCE,
  FLOW_IS_BALANCED,
  FLOW_PROTOCOL,
  FLOW_SEEN,
  FLOW_STATE,
  FLOW_TARGET_INSTANCE_ADDRESS,
  FLOW_WIRE_PORT,
  FlowState,
  HEADER_AT,
  HEADER_FLOW_COUNT,
  HEADER_TIMEOUTS_MS,
  WORKER_SWEEP_CURSOR,
} from "../shared/layout.ts";
import { Packet } from "../wire/packet.ts";
import { sameAddress } from "./address.ts";
import { bucketAt, entryOf, FORWARD, lock, matches, put, REVERSE, recordOf, take, unlock } from "./bucket.ts";
import { allocate, flowAt, idleTime, recordEnd, recordIndex, release, victim } from "./flow-record.ts";
import { flowHash } from "./hash.ts";
import { addLoad } from "./instance.ts";
import { flowLimit, worker, workerAt, workerCount } from "./regions.ts";

/** Evictions that one insertion may cause, before it gives up. */
const EVICTIONS_MAX = 4;

export function packetHash(packet: Packet): u64 {
  return flowHash(packet.source, packet.destination, packet.ports, packet.protocol);
}

/** The flow that the client's packet belongs to, or 0. */
export function findForward(packet: Packet, hash: u64): usize {
  const bucket = bucketAt(hash);
  for (let found = matches(bucket, hash, FORWARD); found != 0; found &= found - 1) {
    const flow = flowAt(recordOf(load<u32>(bucket + (ctz(found) << 2))));
    if (
      load<u32>(flow, FLOW_CLIENT_PORT) == packet.ports &&
      load<u8>(flow, FLOW_PROTOCOL) == packet.protocol &&
      sameAddress(v128.load(flow, FLOW_CALLED), packet.destination) &&
      sameAddress(v128.load(flow, FLOW_CLIENT), packet.source)
    ) {
      return flow;
    }
  }
  return 0;
}

/** The flow that an answer belongs to, or 0. */
export function findReverse(packet: Packet, hash: u64): usize {
  return findAnswers(
    bucketAt(hash),
    hash,
    packet.source,
    packet.destination,
    packet.sourcePort,
    packet.destinationPort,
    packet.protocol,
  );
}

/** The flow whose answers come from `source` to `client` with these ports, or 0. */
function findAnswers(
  bucket: usize,
  hash: u64,
  source: v128,
  client: v128,
  calledPort: u16,
  wirePort: u16,
  protocol: u8,
): usize {
  for (let found = matches(bucket, hash, REVERSE); found != 0; found &= found - 1) {
    const flow = flowAt(recordOf(load<u32>(bucket + (ctz(found) << 2))));
    if (
      load<u16>(flow, FLOW_CALLED_PORT) == calledPort &&
      load<u16>(flow, FLOW_WIRE_PORT) == wirePort &&
      load<u8>(flow, FLOW_PROTOCOL) == protocol &&
      sameAddress(v128.load(flow, FLOW_TARGET_INSTANCE_ADDRESS), source) &&
      (sameAddress(v128.load(flow, FLOW_CLIENT), client) || sameAddress(answeredAddress(flow), client))
    ) {
      return flow;
    }
  }
  return 0;
}

/** A record to be filled in for insert(), or 0 if the table has no room even after eviction. */
export function create(nowMs: u32): usize {
  const live = atomic.add<u32>(HEADER_AT, 1, HEADER_FLOW_COUNT);
  if (live >= flowLimit && !evict(nowMs)) {
    atomic.sub<u32>(HEADER_AT, 1, HEADER_FLOW_COUNT);
    return 0;
  }
  const flow = allocate();
  if (flow == 0) atomic.sub<u32>(HEADER_AT, 1, HEADER_FLOW_COUNT);
  return flow;
}

/** Gives back a record that was created and not inserted. */
export function discard(flow: usize): void {
  atomic.sub<u32>(HEADER_AT, 1, HEADER_FLOW_COUNT);
  release(flow);
}

/**
 * Makes the flow's answers findable with its wire port.
 * False if another flow has the same answers already; the caller then tries another wire port.
 */
export function claimAnswers(flow: usize, nowMs: u32): bool {
  const source = v128.load(flow, FLOW_TARGET_INSTANCE_ADDRESS);
  const client = answeredAddress(flow);
  const calledPort = load<u16>(flow, FLOW_CALLED_PORT);
  const wirePort = load<u16>(flow, FLOW_WIRE_PORT);
  const protocol = load<u8>(flow, FLOW_PROTOCOL);
  const hash = reverseHash(flow);
  const bucket = bucketAt(hash);
  const entry = entryOf(hash, recordIndex(flow), REVERSE);
  for (let i = 0; i <= EVICTIONS_MAX; i++) {
    lock(bucket);
    const isTaken = findAnswers(bucket, hash, source, client, calledPort, wirePort, protocol) != 0;
    const isDone = !isTaken && put(bucket, entry);
    unlock(bucket);
    if (isTaken) return false;
    if (isDone) return true;
    evictFrom(bucket, nowMs);
  }
  return false;
}

/**
 * Makes the flow findable by its client's packets, in `state`. Its answers must have been claimed.
 * Returns the flow that is in the table now: this one, or the one that another worker inserted first; 0 = no room.
 */
export function insert(flow: usize, packet: Packet, hash: u64, state: u32, nowMs: u32): usize {
  const bucket = bucketAt(hash);
  const entry = entryOf(hash, recordIndex(flow), FORWARD);
  for (let i = 0; i <= EVICTIONS_MAX; i++) {
    lock(bucket);
    const first = findForward(packet, hash);
    const isDone = first == 0 && put(bucket, entry);
    // Only now may others end the flow: they take the state first, and the entry is there to be taken.
    if (isDone) atomic.store<u8>(flow, <u8>state, FLOW_STATE);
    unlock(bucket);
    if (isDone) return flow;
    if (first != 0) {
      releaseAnswers(flow);
      discard(flow);
      return first;
    }
    evictFrom(bucket, nowMs);
  }
  releaseAnswers(flow);
  discard(flow);
  return 0;
}

/** Moves a flow to another state, unless another worker ended it meanwhile. */
export function setState(flow: usize, from: u32, to: u32): void {
  atomic.cmpxchg<u8>(flow, <u8>from, <u8>to, FLOW_STATE);
}

/** Ends a flow. False if another worker was first. */
export function end(flow: usize): bool {
  const state = load<u8>(flow, FLOW_STATE);
  if (state == FlowState.free) return false;
  if (atomic.cmpxchg<u8>(flow, state, <u8>FlowState.free, FLOW_STATE) != state) return false;
  const forward = flowHash(
    v128.load(flow, FLOW_CLIENT),
    v128.load(flow, FLOW_CALLED),
    load<u32>(flow, FLOW_CLIENT_PORT),
    load<u8>(flow, FLOW_PROTOCOL),
  );
  take(bucketAt(forward), entryOf(forward, recordIndex(flow), FORWARD));
  releaseAnswers(flow);
  if (load<u8>(flow, FLOW_SEEN) & FLOW_IS_BALANCED) addLoad(load<u32>(flow, FLOW_INSTANCE), -1);
  discard(flow);
  return true;
}

/** Ends the idle ones among this worker's share of the next `budget` records. */
export function sweep(nowMs: u32, budget: u32): u32 {
  const recordsEnd = recordEnd();
  let cursor = load<u32>(workerAt, WORKER_SWEEP_CURSOR);
  let ended: u32 = 0;
  for (let i: u32 = 0; i < budget; i++) {
    cursor += workerCount;
    if (cursor >= recordsEnd) cursor = worker + 1;
    if (cursor >= recordsEnd) break;
    const flow = flowAt(cursor);
    const state = load<u8>(flow, FLOW_STATE);
    if (state == FlowState.free) continue;
    if (idleTime(flow, nowMs) < load<u32>(HEADER_AT + ((<u32>state) << 2), HEADER_TIMEOUTS_MS)) continue;
    if (end(flow)) ended++;
  }
  store<u32>(workerAt, cursor, WORKER_SWEEP_CURSOR);
  count(Counter.flowsExpired, ended);
  return ended;
}

/** The destination of the flow's answers. */
function answeredAddress(flow: usize): v128 {
  const crosses = (load<u8>(flow, FLOW_SEEN) & FLOW_ANSWERS_CROSS) != 0;
  return crosses ? v128.load(flow, FLOW_ANSWERED) : v128.load(flow, FLOW_CLIENT);
}

function reverseHash(flow: usize): u64 {
  const ports = <u32>load<u16>(flow, FLOW_CALLED_PORT) | ((<u32>load<u16>(flow, FLOW_WIRE_PORT)) << 16);
  return flowHash(
    v128.load(flow, FLOW_TARGET_INSTANCE_ADDRESS),
    answeredAddress(flow),
    ports,
    load<u8>(flow, FLOW_PROTOCOL),
  );
}

function releaseAnswers(flow: usize): void {
  const hash = reverseHash(flow);
  take(bucketAt(hash), entryOf(hash, recordIndex(flow), REVERSE));
}

function evict(nowMs: u32): bool {
  for (let i = 0; i < EVICTIONS_MAX; i++) {
    const flow = victim(nowMs);
    if (flow == 0) return false;
    if (!end(flow)) continue;
    count(Counter.flowsEvicted, 1);
    return true;
  }
  return false;
}

/** Ends the longest unused flow of a full bucket. */
function evictFrom(bucket: usize, nowMs: u32): void {
  let oldest: usize = 0;
  let oldestMs: u32 = 0;
  for (let i: u32 = 1; i < 16; i++) {
    const record = recordOf(load<u32>(bucket + (i << 2)));
    if (record == 0) continue;
    const flow = flowAt(record);
    if (load<u8>(flow, FLOW_STATE) == FlowState.free) continue; // one that begins or ends just now
    const idleMs = idleTime(flow, nowMs);
    if (oldest != 0 && idleMs <= oldestMs) continue;
    oldest = flow;
    oldestMs = idleMs;
  }
  if (oldest != 0 && end(oldest)) count(Counter.flowsEvicted, 1);
}
