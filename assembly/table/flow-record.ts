// Flow records: where they come from and go to.
// A record that ended may still be under the eyes of another worker, so it rests in this worker's limbo until every
// other worker has left the call that it was in; then it goes on the free stack that all workers share.

import { flowLimit, flowsAt, worker, workerAreaAt, workerAt, workerCount } from "../area/regions.ts";
import {
  FLOW_AGE_MAX_MS,
  FLOW_FREE_NEXT,
  FLOW_LAST_USED_MS,
  FLOW_SIZE,
  FLOW_SLACK,
  HEADER_AT,
  HEADER_FLOW_FREE,
  HEADER_FLOW_NEXT,
  WORKER_LIMBO_OLD,
  WORKER_LIMBO_SEQUENCES,
  WORKER_LIMBO_YOUNG,
  WORKER_SEQUENCE,
} from "../shared/layout.ts";

export function flowAt(record: u32): usize {
  return flowsAt + <usize>record * FLOW_SIZE;
}

export function recordIndex(flow: usize): u32 {
  return <u32>((flow - flowsAt) / FLOW_SIZE);
}

/** Milliseconds since the flow's last packet, up to 37 days: no timeout is longer, and each flow is looked at in time. */
export function idleTime(flow: usize, nowMs: u32): u32 {
  const idleMs = nowMs - load<u32>(flow, FLOW_LAST_USED_MS);
  return idleMs > <u32>FLOW_AGE_MAX_MS ? 0 : idleMs;
}

/** Records from here on never held a flow. */
export function recordEnd(): u32 {
  return min<u32>(atomic.load<u32>(HEADER_AT, HEADER_FLOW_NEXT), recordLimit());
}

function recordLimit(): u32 {
  return flowLimit + FLOW_SLACK + 1; // record 0 is never used
}

/** A record for a new flow, or 0 if there is none. */
export function allocate(): usize {
  const free = popFree();
  if (free != 0) return flowAt(free);
  if (atomic.load<u32>(HEADER_AT, HEADER_FLOW_NEXT) >= recordLimit()) return 0;
  const fresh = atomic.add<u32>(HEADER_AT, 1, HEADER_FLOW_NEXT);
  return fresh < recordLimit() ? flowAt(fresh) : 0;
}

/** Gives back a record that no bucket leads to any more. */
export function release(flow: usize): void {
  const record = recordIndex(flow);
  if (workerCount == 1) return pushFree(record);
  store<u32>(flow, load<u32>(workerAt, WORKER_LIMBO_YOUNG), FLOW_FREE_NEXT);
  store<u32>(workerAt, record, WORKER_LIMBO_YOUNG);
}

/** Frees what rested long enough. Called once per call of the engine. */
export function settleLimbo(): void {
  const old = load<u32>(workerAt, WORKER_LIMBO_OLD);
  if (old != 0) {
    if (!othersMovedOn()) return;
    let record = old;
    do {
      const next = load<u32>(flowAt(record), FLOW_FREE_NEXT);
      pushFree(record);
      record = next;
    } while (record != 0);
  }
  const young = load<u32>(workerAt, WORKER_LIMBO_YOUNG);
  store<u32>(workerAt, young, WORKER_LIMBO_OLD);
  store<u32>(workerAt, 0, WORKER_LIMBO_YOUNG);
  if (young == 0) return;
  for (let i: u32 = 0; i < workerCount; i++) {
    store<u32>(workerAt + (i << 2), atomic.load<u32>(workerAreaAt(i), WORKER_SEQUENCE), WORKER_LIMBO_SEQUENCES);
  }
}

function othersMovedOn(): bool {
  for (let i: u32 = 0; i < workerCount; i++) {
    if (i == worker) continue;
    const before = load<u32>(workerAt + (i << 2), WORKER_LIMBO_SEQUENCES);
    const isOutside = (before & 1) == 0;
    if (!isOutside && atomic.load<u32>(workerAreaAt(i), WORKER_SEQUENCE) == before) return false;
  }
  return true;
}

// The stack's head holds a count of pops beside the index, so that a head that was popped and pushed again in
// between is not mistaken for the same (the ABA problem).

function popFree(): u32 {
  while (true) {
    const head = atomic.load<u64>(HEADER_AT, HEADER_FLOW_FREE);
    const record = <u32>head;
    if (record == 0) return 0;
    const next = load<u32>(flowAt(record), FLOW_FREE_NEXT);
    const after = (((head >>> 32) + 1) << 32) | next;
    if (atomic.cmpxchg<u64>(HEADER_AT, head, after, HEADER_FLOW_FREE) == head) return record;
  }
}

function pushFree(record: u32): void {
  while (true) {
    const head = atomic.load<u64>(HEADER_AT, HEADER_FLOW_FREE);
    store<u32>(flowAt(record), <u32>head, FLOW_FREE_NEXT);
    const after = (head & 0xffffffff00000000) | record;
    if (atomic.cmpxchg<u64>(HEADER_AT, head, after, HEADER_FLOW_FREE) == head) return;
  }
}
