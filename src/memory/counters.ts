// Reads what the data plane counts: sums over the areas of all workers, named by the keys of the enums.

import { Counter } from "../../assembly/shared/counters.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";
import type { SharedMemory } from "./shared-memory.ts";

interface CounterSnapshot {
  readonly counters: Readonly<Record<string, number>>; // by Counter
  readonly drops: {
    readonly egress: Readonly<Record<string, number>>; // by DropReason
    readonly ingress: Readonly<Record<string, number>>;
  };
}

const COUNTER_NAMES = keysOf(Counter, 0, Counter.count);
const DROP_NAMES = keysOf(DropReason, DropReason.none + 1, DropReason.count);

/** Every counter, also those at 0. Exact up to 2^53; workers go on counting meanwhile. */
export function readCounters(shared: SharedMemory): CounterSnapshot {
  return {
    counters: sums(shared, COUNTER_NAMES, WorkerLayout.COUNTERS),
    drops: {
      egress: sums(shared, DROP_NAMES, WorkerLayout.EGRESS_DROPS),
      ingress: sums(shared, DROP_NAMES, WorkerLayout.INGRESS_DROPS),
    },
  };
}

/** Flows that exist now. */
export function flowCount(shared: SharedMemory): number {
  return Atomics.load(shared.i32, (HeaderLayout.AT + HeaderLayout.FLOW_COUNT) >>> 2);
}

/** Packets that left by the tunnel or the TUN since the start. */
export function packetsPassed(shared: SharedMemory): number {
  const { egressPackets = 0, ingressPackets = 0, localPackets = 0 } = readCounters(shared).counters;
  return egressPackets + ingressPackets + localPackets;
}

function sums(shared: SharedMemory, names: ReadonlyMap<number, string>, offset: number): Record<string, number> {
  const view = new DataView(shared.memory.buffer, shared.at(Region.workers));
  const result: Record<string, number> = {};
  for (const [index, name] of names) {
    let sum = 0n;
    for (let worker = 0; worker < shared.capacities.workers; worker++) {
      sum += view.getBigUint64(worker * WorkerLayout.SIZE + offset + 8 * index, true);
    }
    result[name] = Number(sum);
  }
  return result;
}

function keysOf(keys: Readonly<Record<number, string>>, first: number, end: number): Map<number, string> {
  return new Map(Array.from({ length: end - first }, (_, i) => [first + i, keys[first + i] ?? String(first + i)]));
}
