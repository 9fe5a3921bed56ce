// Flow records: where they come from and go to.
// A record that ended may still be under the eyes of another worker, so it rests in this worker's limbo until every
// other worker has left the call that it was in; then it goes on the free stack that all workers share.

import { flowLimit, flowsAt, worker, workerAreaAt, workerAt, workerCount } from "../area/regions.ts";
import { Flow } from "../record/flow.ts";
import * as Header from "../record/header.ts";
import { WorkerArea } from "../record/worker.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import { FlowState } from "../shared/layout/flow.ts";

export function flowAt(record: u32): usize {
  return flowsAt + <usize>record * FlowLayout.SIZE;
}

export function recordIndex(flow: usize): u32 {
  return <u32>((flow - flowsAt) / FlowLayout.SIZE);
}

/**
 * Milliseconds since the flow's last packet, up to 37 days: no timeout is longer, and each flow is looked at in time.
 */
export function idleTime(flow: usize, nowMs: u32): u32 {
  const idleMs = nowMs - Flow.at(flow).lastUsedMs;
  return idleMs > <u32>FlowLayout.AGE_MAX_MS ? 0 : idleMs;
}

/** Whether a flow in this state is load of its instance. An unbound one leads to none. */
export function isLoad(state: u32): bool {
  return state != FlowState.free && state != FlowState.tcpClosed && (state & FlowLayout.UNBOUND) == 0;
}

/** Records from here on never held a flow. */
export function recordEnd(): u32 {
  return min<u32>(Header.flowNext.load(), recordLimit());
}

function recordLimit(): u32 {
  return flowLimit + FlowLayout.SLACK + 1; // record 0 is never used
}

/** A record for a new flow, or 0 if there is none. */
export function allocate(): usize {
  const free = popFree();
  if (free != 0) return flowAt(free);
  while (true) {
    const fresh = Header.flowNext.load();
    if (fresh >= Header.flowRoom.load()) return 0;
    if (Header.flowNext.exchangeIf(fresh, fresh + 1) != fresh) continue;
    if (fresh % FlowLayout.ROOM_NOTICE == 0) Header.flowRoom.notify();
    return flowAt(fresh);
  }
}

/** Gives back a record that no bucket leads to any more. */
export function release(flow: usize): void {
  const record = recordIndex(flow);
  if (workerCount == 1) return pushFree(record);
  Flow.at(flow).freeNext = WorkerArea.at(workerAt).limboYoung;
  WorkerArea.at(workerAt).limboYoung = record;
}

/** Frees what rested long enough. Called once per call of the engine. */
export function settleLimbo(): void {
  const old = WorkerArea.at(workerAt).limboOld;
  if (old != 0) {
    if (!othersMovedOn()) return;
    let record = old;
    do {
      const next = Flow.at(flowAt(record)).freeNext;
      pushFree(record);
      record = next;
    } while (record != 0);
  }
  const young = WorkerArea.at(workerAt).limboYoung;
  WorkerArea.at(workerAt).limboOld = young;
  WorkerArea.at(workerAt).limboYoung = 0;
  if (young == 0) return;
  for (let i: u32 = 0; i < workerCount; i++) {
    WorkerArea.at(workerAt + (i << 2)).limboSequences = WorkerArea.at(workerAreaAt(i)).sequence.load();
  }
}

function othersMovedOn(): bool {
  for (let i: u32 = 0; i < workerCount; i++) {
    if (i == worker) continue;
    const before = WorkerArea.at(workerAt + (i << 2)).limboSequences;
    const isOutside = (before & 1) == 0;
    if (!isOutside && WorkerArea.at(workerAreaAt(i)).sequence.load() == before) return false;
  }
  return true;
}

// The stack's head holds a count of pops beside the index, so that a head that was popped and pushed again in
// between is not mistaken for the same (the ABA problem).

function popFree(): u32 {
  while (true) {
    const head = Header.flowFree.load();
    const record = <u32>head;
    if (record == 0) return 0;
    const next = Flow.at(flowAt(record)).freeNext;
    const after = (((head >>> 32) + 1) << 32) | next;
    if (Header.flowFree.exchangeIf(head, after) == head) return record;
  }
}

function pushFree(record: u32): void {
  while (true) {
    const head = Header.flowFree.load();
    Flow.at(flowAt(record)).freeNext = <u32>head;
    const after = (head & 0xffffffff00000000) | record;
    if (Header.flowFree.exchangeIf(head, after) == head) return;
  }
}
