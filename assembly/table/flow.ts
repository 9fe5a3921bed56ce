// The flow table: find a flow by a packet of either direction, insert, end, sweep. Shared by all workers.
//
// A look-up may meet a record that another worker inserts or ends at that moment. Its key and translation are whole
// in both cases (bucket.ts, flow-record.ts), only its state is `free`; a change of the state must keep that.

import { count } from "../area/count.ts";
import { flowLimit, worker, workerAt, workerCount } from "../area/regions.ts";
import { Flow } from "../record/flow.ts";
import * as Header from "../record/header.ts";
import { WorkerArea } from "../record/worker.ts";
import { Counter } from "../shared/counters.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import { FlowState } from "../shared/layout/flow.ts";
import { DropReason } from "../shared/verdicts.ts";
import { Packet } from "../wire/packet.ts";
import { sameAddress } from "./address.ts";
import { bind } from "./binding.ts";
import { bucketAt, entryOf, FORWARD, lock, matches, put, REVERSE, recordOf, take, unlock } from "./bucket.ts";
import { victim, victimIn } from "./eviction.ts";
import { allocate, flowAt, idleTime, recordEnd, recordIndex, release } from "./flow-record.ts";
import { countChange, setState } from "./flow-state.ts";
import { flowHash, forwardHash } from "./hash.ts";
import { countCalled, uncountCalled } from "./instance.ts";
import { endPauses, noteWaiting } from "./outlier.ts";

/** Evictions that one insertion may cause, before it gives up. */
const EVICTIONS_MAX = 4;

export function packetHash(packet: Packet): u64 {
  return flowHash(packet.source, packet.destination, packet.ports, packet.protocol);
}

/** The flow that the client's packet belongs to, or 0. */
export function findForward(packet: Packet, hash: u64): usize {
  return findCalls(bucketAt(hash), hash, packet.source, packet.destination, packet.ports, packet.protocol);
}

/** The flow in which `client` calls that address with these ports, or 0. */
function findCalls(bucket: usize, hash: u64, client: v128, called: v128, ports: u32, protocol: u8): usize {
  for (let found = matches(bucket, hash, FORWARD); found != 0; found &= found - 1) {
    const flow = flowAt(recordOf(load<u32>(bucket + (ctz(found) << 2))));
    if (isCall(flow, client, called, ports, protocol)) return flow;
  }
  return 0;
}

function isCall(flow: usize, client: v128, called: v128, ports: u32, protocol: u8): bool {
  return (
    Flow.at(flow).ports == ports &&
    Flow.at(flow).protocol == protocol &&
    sameAddress(Flow.at(flow).called, called) &&
    sameAddress(Flow.at(flow).client, client)
  );
}

/** Whether two records are of one client's packets from and to the same ports, and lead to the same instance. */
export function isSameFlow(flow: usize, other: usize): bool {
  const record = Flow.at(other);
  return (
    Flow.at(flow).instance == record.instance &&
    Flow.at(flow).instanceIncarnation == record.instanceIncarnation &&
    isCall(flow, record.client, record.called, record.ports, record.protocol)
  );
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
      Flow.at(flow).calledPort == calledPort &&
      Flow.at(flow).wirePort == wirePort &&
      Flow.at(flow).protocol == protocol &&
      sameAddress(Flow.at(flow).targetInstanceAddress, source) &&
      (sameAddress(Flow.at(flow).client, client) || sameAddress(answeredAddress(flow), client))
    ) {
      return flow;
    }
  }
  return 0;
}

/** A record to be filled in for insert(), or 0 if the table has no room for one more of `client`. */
export function create(client: u32, nowMs: u32): usize {
  const live = Header.flowCount.add(1);
  if (live >= flowLimit && !evict(client, nowMs)) {
    Header.flowCount.subtract(1);
    return 0;
  }
  const flow = allocate();
  if (flow == 0) Header.flowCount.subtract(1);
  return flow;
}

/** Gives back a record that was created and not inserted. */
export function discard(flow: usize): void {
  Header.flowCount.subtract(1);
  release(flow);
}

/** Whether another flow has the answers that this one would have with this wire port. */
export function areAnswersTaken(flow: usize, wirePort: u16): bool {
  const hash = reverseHash(flow, wirePort);
  return findAnswersOf(flow, wirePort, bucketAt(hash), hash) != 0;
}

/**
 * Makes the flow's answers findable with its wire port. Returns the flow that has these answers now: this one, or another
 * that had them already; 0 = no room.
 */
export function claimAnswers(flow: usize, nowMs: u32): usize {
  const wirePort = Flow.at(flow).wirePort;
  const hash = reverseHash(flow, wirePort);
  const bucket = bucketAt(hash);
  const entry = entryOf(hash, recordIndex(flow), REVERSE);
  for (let i = 0; i <= EVICTIONS_MAX; i++) {
    lock(bucket);
    const owner = findAnswersOf(flow, wirePort, bucket, hash);
    const isDone = owner == 0 && put(bucket, entry);
    unlock(bucket);
    if (owner != 0) return owner;
    if (isDone) return flow;
    if (!evictFrom(bucket, Flow.at(flow).clientInstance, nowMs)) return 0;
  }
  return 0;
}

/**
 * Makes the flow findable by its client's packets, in `state`. Its answers must have been claimed.
 * Returns the flow that is in the table now: this one, or the one that another worker inserted first; 0 = no room.
 */
export function insert(flow: usize, hash: u64, state: u32, nowMs: u32): usize {
  const bucket = bucketAt(hash);
  const entry = entryOf(hash, recordIndex(flow), FORWARD);
  let first: usize = 0;
  for (let i = 0; i <= EVICTIONS_MAX; i++) {
    lock(bucket);
    first = findCallsOf(flow, bucket, hash);
    const isDone = first == 0 && put(bucket, entry);
    // Only now may others end the flow: they take the state first, and the entry is there to be taken.
    if (isDone) Flow.at(flow).storeState(<u8>state);
    unlock(bucket);
    if (isDone) {
      if ((state & FlowLayout.UNBOUND) != 0) return flow;
      countCalled(Flow.at(flow).clientInstance, Flow.at(flow).clientIncarnation);
      countChange(flow, FlowState.free, state);
      return flow;
    }
    if (first != 0 || !evictFrom(bucket, Flow.at(flow).clientInstance, nowMs)) break;
  }
  releaseAnswers(flow);
  discard(flow);
  return first;
}

/**
 * Inserts a record that another process filled in, which is unbound until its addresses are found in the tables.
 * Gives the record back and returns false when another flow has its place.
 */
export function adopt(flow: usize, state: u32, nowMs: u32): bool {
  if (claimAnswers(flow, nowMs) == flow)
    return insert(flow, forwardHash(flow), state | FlowLayout.UNBOUND, nowMs) == flow;
  discard(flow);
  return false;
}

/** Ends a flow. False if another worker was first. */
export function end(flow: usize): bool {
  const state = Flow.at(flow).state;
  if (!setState(flow, state, FlowState.free)) return false;
  const forward = forwardHash(flow);
  take(bucketAt(forward), entryOf(forward, recordIndex(flow), FORWARD));
  releaseAnswers(flow);
  if ((state & <u8>FlowLayout.UNBOUND) == 0)
    uncountCalled(Flow.at(flow).clientInstance, Flow.at(flow).clientIncarnation);
  discard(flow);
  return true;
}

/** Ends the idle ones among this worker's share of the next `budget` records. */
export function sweep(nowMs: u32, budget: u32): u32 {
  endPauses(nowMs);
  const recordsEnd = recordEnd();
  let cursor = WorkerArea.at(workerAt).sweepCursor;
  let ended: u32 = 0;
  for (let i: u32 = 0; i < budget; i++) {
    cursor += workerCount;
    if (cursor >= recordsEnd) cursor = worker + 1;
    if (cursor >= recordsEnd) break;
    const flow = flowAt(cursor);
    let state: u32 = Flow.at(flow).state;
    if (state == FlowState.free) continue;
    if ((state & FlowLayout.UNBOUND) != 0) {
      const isBound = bind(flow) == DropReason.none;
      state = state & ~FlowLayout.UNBOUND;
      if (!isBound && <i32>(nowMs - Header.unboundEndMs.value) >= 0) {
        if (end(flow)) ended++;
        continue;
      }
    }
    if (state == FlowState.tcpOpening && (Flow.at(flow).seen & FlowLayout.SEEN_REPLY) == 0) noteWaiting(flow, nowMs);
    if (idleTime(flow, nowMs) < Header.timeoutMs(state)) continue;
    if (end(flow)) ended++;
  }
  WorkerArea.at(workerAt).sweepCursor = cursor;
  count(Counter.flowsExpired, ended);
  return ended;
}

/** The destination of the flow's answers. */
function answeredAddress(flow: usize): v128 {
  const crosses = (Flow.at(flow).seen & FlowLayout.ANSWERS_CROSS) != 0;
  return crosses ? Flow.at(flow).answered : Flow.at(flow).client;
}

/** The flow that packets of this one's client belong to, or 0. */
function findCallsOf(flow: usize, bucket: usize, hash: u64): usize {
  const record = Flow.at(flow);
  return findCalls(bucket, hash, record.client, record.called, record.ports, record.protocol);
}

/** The flow whose answers are those that `flow` has with this wire port, or 0. */
function findAnswersOf(flow: usize, wirePort: u16, bucket: usize, hash: u64): usize {
  return findAnswers(
    bucket,
    hash,
    Flow.at(flow).targetInstanceAddress,
    answeredAddress(flow),
    Flow.at(flow).calledPort,
    wirePort,
    Flow.at(flow).protocol,
  );
}

function reverseHash(flow: usize, wirePort: u16): u64 {
  const ports = <u32>Flow.at(flow).calledPort | ((<u32>wirePort) << 16);
  return flowHash(Flow.at(flow).targetInstanceAddress, answeredAddress(flow), ports, Flow.at(flow).protocol);
}

function releaseAnswers(flow: usize): void {
  const hash = reverseHash(flow, Flow.at(flow).wirePort);
  take(bucketAt(hash), entryOf(hash, recordIndex(flow), REVERSE));
}

function evict(client: u32, nowMs: u32): bool {
  for (let i = 0; i < EVICTIONS_MAX; i++) {
    const flow = victim(client, nowMs);
    if (flow == 0) return false;
    if (!end(flow)) continue;
    count(Counter.flowsEvicted, 1);
    return true;
  }
  return false;
}

/** Makes room in a full bucket. False if no flow there may go for one of `client`. */
function evictFrom(bucket: usize, client: u32, nowMs: u32): bool {
  const flow = victimIn(bucket, client, nowMs);
  if (flow == 0) return false;
  if (end(flow)) count(Counter.flowsEvicted, 1);
  return true;
}
