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
  return snapshotOf(countedBytes(shared));
}

/** One counter, without a look at the others. */
export function readCounter(shared: SharedMemory, counter: Counter): number {
  return sumAt(shared, WorkerLayout.COUNTERS + 8 * counter);
}

/** Likewise of the packets of a direction that were dropped for a reason. */
export function readDrops(shared: SharedMemory, direction: "egress" | "ingress", reason: DropReason): number {
  return sumAt(shared, (direction === "egress" ? WorkerLayout.EGRESS_DROPS : WorkerLayout.INGRESS_DROPS) + 8 * reason);
}

/** What the counters were: cheaper to keep than a snapshot, which can be made of it later. */
export class CounterNote {
  readonly #counted: readonly Uint8Array[];
  readonly #kept: readonly Uint8Array[];

  constructor(shared: SharedMemory) {
    this.#counted = countedBytes(shared);
    this.#kept = this.#counted.map((bytes) => new Uint8Array(bytes.length));
  }

  take(): void {
    for (const [worker, bytes] of this.#counted.entries()) this.#kept[worker]?.set(bytes);
  }

  /** As they were when they were taken. */
  snapshot(): CounterSnapshot {
    return snapshotOf(this.#kept);
  }
}

/** Upper bounds of the classes of readBatches(). */
export const BATCH_BOUNDS: readonly number[] = Array.from({ length: WorkerLayout.BATCH_CLASSES }, (_, i) => 2 ** i);

/** How many batches had which size, by BATCH_BOUNDS: frames read from the TUN at once, messages received at once. */
export function readBatches(shared: SharedMemory): Readonly<Record<"tun" | "udp", readonly number[]>> {
  const view = new DataView(shared.memory.buffer, shared.at(Region.workers));
  const workers = Array.from({ length: shared.capacities.workers }, (_, worker) => worker * WorkerLayout.SIZE);
  const countsAt = (classesAt: number): number[] =>
    BATCH_BOUNDS.map((_, i) =>
      Number(workers.reduce((sum, at) => sum + view.getBigUint64(at + classesAt + 8 * i, true), 0n)),
    );
  return { tun: countsAt(WorkerLayout.TUN_BATCHES), udp: countsAt(WorkerLayout.UDP_BATCHES) };
}

/** Flows that exist now. */
export function flowCount(shared: SharedMemory): number {
  return Atomics.load(shared.i32, (HeaderLayout.AT + HeaderLayout.FLOW_COUNT) >>> 2);
}

/** Packets that left by the tunnel or the TUN since the start. */
export function packetsPassed(shared: SharedMemory): number {
  return [Counter.egressPackets, Counter.ingressPackets, Counter.localPackets].reduce(
    (sum, counter) => sum + readCounter(shared, counter),
    0,
  );
}

function sumAt(shared: SharedMemory, offset: number): number {
  let sum = 0;
  for (let worker = 0; worker < shared.capacities.workers; worker++) {
    const word = (shared.at(Region.workers) + worker * WorkerLayout.SIZE + offset) >>> 2;
    sum += (shared.u32[word] ?? 0) + 2 ** 32 * (shared.u32[word + 1] ?? 0);
  }
  return sum;
}

/** The counters of each worker. */
function countedBytes(shared: SharedMemory): Uint8Array[] {
  const at = shared.at(Region.workers) + WorkerLayout.COUNTERS;
  const size = WorkerLayout.SCRATCH - WorkerLayout.COUNTERS;
  return Array.from({ length: shared.capacities.workers }, (_, worker) => {
    const start = at + worker * WorkerLayout.SIZE;
    return shared.bytes.subarray(start, start + size);
  });
}

function snapshotOf(counted: readonly Uint8Array[]): CounterSnapshot {
  return {
    counters: sums(counted, COUNTER_NAMES, WorkerLayout.COUNTERS),
    drops: {
      egress: sums(counted, DROP_NAMES, WorkerLayout.EGRESS_DROPS),
      ingress: sums(counted, DROP_NAMES, WorkerLayout.INGRESS_DROPS),
    },
  };
}

function sums(counted: readonly Uint8Array[], names: ReadonlyMap<number, string>, offset: number) {
  const views = counted.map(({ buffer, byteOffset, length }) => new DataView(buffer, byteOffset, length));
  const result: Record<string, number> = {};
  for (const [index, name] of names) {
    const at = offset - WorkerLayout.COUNTERS + 8 * index;
    result[name] = Number(views.reduce((sum, view) => sum + view.getBigUint64(at, true), 0n));
  }
  return result;
}

function keysOf(keys: Readonly<Record<number, string>>, first: number, end: number): Map<number, string> {
  return new Map(Array.from({ length: end - first }, (_, i) => [first + i, keys[first + i] ?? String(first + i)]));
}
