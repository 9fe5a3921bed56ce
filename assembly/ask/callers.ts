// Who called workloads of this node from addresses that the tables lack. What goes back there is an answer, and is asked
// for before what nobody has called from. Each worker notes what it received, and looks at the notes of all: the answer
// may take its way through another one.

import { workerAreaAt, workerAt, workerCount } from "../area/regions.ts";
import * as Header from "../record/header.ts";
import * as CallerLayout from "../shared/layout/caller.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import { addressHash } from "../table/hash.ts";
import { Packet } from "../wire/packet.ts";

/** How long a call is remembered after its last packet. */
const CALLED_MS: u32 = 60_000;
/** The clocks of two workers differ by less. */
const AHEAD_MS: u32 = 1000;

/** Notes that a packet came in: in the record of the same pair, else in one that is free or stale, else in the oldest. */
export function noteCaller(packet: Packet, nowMs: u32): void {
  const pair = pairOf(packet.sourceAt, packet.destinationAt);
  const set = setAt(workerAt, pair);
  let place = set;
  let placeAge: u32 = 0;
  for (let i: u32 = 0; i < <u32>CallerLayout.SET; i++) {
    const record = set + i * CallerLayout.SIZE;
    if (isOf(record, pair)) {
      place = record;
      break;
    }
    const age = ageOf(record, nowMs);
    if (i != 0 && age <= placeAge) continue;
    place = record;
    placeAge = age;
  }
  atomic.store<u64>(place, ((<u64>pair) << 32) | nowMs);
}

/** Whether `workload` was called from `caller` a short time ago; both are addresses. */
export function hasCalled(caller: usize, workload: usize, nowMs: u32): bool {
  const pair = pairOf(caller, workload);
  for (let index: u32 = 0; index < workerCount; index++) {
    const set = setAt(workerAreaAt(index), pair);
    for (let i: u32 = 0; i < <u32>CallerLayout.SET; i++) {
      const record = set + i * CallerLayout.SIZE;
      if (isOf(record, pair) && ageOf(record, nowMs) < CALLED_MS) return true;
    }
  }
  return false;
}

/** Forgets what is stale, so that no age is ever so large that it wraps. */
export function forgetCallers(nowMs: u32): void {
  if (Header.parkMs.value == 0) return; // nobody is noted
  for (let i: u32 = 0; i < <u32>CallerLayout.MAX; i++) {
    const record = workerAt + WorkerLayout.CALLERS + i * CallerLayout.SIZE;
    if (ageOf(record, nowMs) >= CALLED_MS) atomic.store<u64>(record, 0);
  }
}

function isOf(record: usize, pair: u32): bool {
  return <u32>(atomic.load<u64>(record) >>> 32) == pair;
}

/** CALLED_MS of one that is free or stale. */
function ageOf(record: usize, nowMs: u32): u32 {
  const note = atomic.load<u64>(record);
  if (note >>> 32 == 0) return CALLED_MS;
  const ageMs = nowMs - <u32>note;
  return ageMs > u32.MAX_VALUE - AHEAD_MS ? 0 : min(ageMs, CALLED_MS);
}

function pairOf(caller: usize, workload: usize): u32 {
  return max<u32>((addressHash(caller) * 0x9e3779b1) ^ addressHash(workload), 1);
}

function setAt(area: usize, pair: u32): usize {
  const set = pair % (CallerLayout.MAX / CallerLayout.SET);
  return area + WorkerLayout.CALLERS + <usize>set * (CallerLayout.SIZE * CallerLayout.SET);
}
