// Copies the tables and flows of a running node into a memory of their own, on which an engine can be asked what it
// would do. Promises: the node's workers and its control plane go on, and notice nothing; the copy shows one
// generation.

import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { FlowTableRepair } from "./flow-repair.ts";
import { type SharedMemory, viewsOf } from "./shared-memory.ts";

/** Untouched memory is not copied, so that the copy takes no more than what is in use. */
const BLOCK = 65_536;
const TRIES = 20;

/** Words of a worker's area that are right whatever it was doing. */
const KEPT = [
  WorkerLayout.PORT_CURSOR,
  WorkerLayout.NEXT_IDENTIFICATION,
  WorkerLayout.ANSWERS_REFILLED_MS,
  ...Array.from({ length: WorkerLayout.AnswerShare.count }, (_, share) => WorkerLayout.ANSWER_TOKENS + 4 * share),
];

interface CopiedMemory {
  readonly shared: SharedMemory;
  /** Whether it has what the first worker keeps for itself: fragments, and packets that wait. */
  readonly hasWaiting: boolean;
}

/** Throws when the tables change all the time. */
export function copyMemory(source: SharedMemory): CopiedMemory {
  const pages = source.bytes.byteLength / BLOCK;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  return refreshCopy(
    source,
    viewsOf({ ...source, memory }, (region) => source.at(region)),
    true,
  );
}

/** What another thread needs to know of a memory. */
export type MemoryPlan = Pick<SharedMemory, "memory" | "capacities" | "records">;

/** The views of a memory that is in use already. */
export function openMemory(plan: MemoryPlan): SharedMemory {
  const regions = new Uint32Array(plan.memory.buffer, HeaderLayout.AT + HeaderLayout.REGIONS, Region.count);
  return viewsOf(plan, (region) => regions[region] ?? 0);
}

/** The same into a copy that is there, or into a memory without content. */
export function refreshCopy(source: SharedMemory, copy: SharedMemory, isNew = false): CopiedMemory {
  const generation = (): number => Atomics.load(source.i32, (HeaderLayout.AT + HeaderLayout.GENERATION) >>> 2);
  for (let tries = 1; ; tries++) {
    const [before, sequences] = [generation(), sequencesOf(source)];
    const isOutside = sequences.every((sequence) => sequence % 2 === 0);
    copyBlocks(source, copy, isNew && tries === 1);
    const hasWaiting = isOutside && copyArea(source, copy);
    // What one generation shows stays as it is until the next one is in force.
    const isOneGeneration = generation() === before;
    const isStill = hasWaiting && sequencesOf(source).every((sequence, worker) => sequence === sequences[worker]);
    if (isOneGeneration && isStill) return { shared: leaveCalls(copy), hasWaiting: true };
    if (tries < TRIES) continue;
    if (!isOneGeneration) throw new Error("the tables change faster than they can be copied");
    return { shared: mend(copy), hasWaiting: false };
  }
}

function sequencesOf(source: SharedMemory): number[] {
  return Array.from({ length: source.capacities.workers }, (_, worker) =>
    Atomics.load(source.i32, (source.at(Region.workers) + worker * WorkerLayout.SIZE + WorkerLayout.SEQUENCE) >>> 2),
  );
}

/** The first worker's, but for the frames in its slots and queues. */
function copyArea(source: SharedMemory, copy: SharedMemory): true {
  const area = source.at(Region.workers);
  for (const [from, to] of [
    [0, WorkerLayout.TUN_LENGTHS],
    [WorkerLayout.FRAGMENT_HEADS, WorkerLayout.SHARES],
  ] as const) {
    copy.bytes.set(source.bytes.subarray(area + from, area + to), area + from);
  }
  return true;
}

/** Everything before the workers. */
function copyBlocks(source: SharedMemory, copy: SharedMemory, isCopyEmpty: boolean): void {
  const to = source.at(Region.workers);
  for (let at = HeaderLayout.AT; at < to; at += BLOCK) {
    const end = Math.min(to, at + BLOCK);
    if (isEmpty(source, at, end) && (isCopyEmpty || isEmpty(copy, at, end))) continue;
    copy.bytes.set(source.bytes.subarray(at, end), at);
  }
}

function isEmpty({ f64, u32 }: SharedMemory, from: number, to: number): boolean {
  for (let word = from >>> 2; word < to >>> 2 && (word & 1) !== 0; word++) if (u32[word] !== 0) return false;
  for (let word = from >>> 3; word < to >>> 3; word++) {
    // The bits of a number that is not 0, and of -0, are not all 0.
    if (f64[word] !== 0 || u32[2 * word + 1] !== 0) return false;
  }
  return true;
}

/** Nobody is in a call of the copy. */
function leaveCalls(copy: SharedMemory): SharedMemory {
  copy.u32[(HeaderLayout.AT + HeaderLayout.REPAIR) >>> 2] = 0;
  return copy;
}

/**
 * A worker was in a call: its locks and half-done flows are mended as if it had died there, and its area is forgotten.
 */
function mend(copy: SharedMemory): SharedMemory {
  const area = copy.at(Region.workers);
  const kept = KEPT.map((word) => copy.u32[(area + word) >>> 2] ?? 0);
  for (const [from, to] of [
    [0, WorkerLayout.COUNTERS],
    [WorkerLayout.FRAGMENT_HEADS, WorkerLayout.FRAGMENTS],
    [WorkerLayout.FRAGMENTS, WorkerLayout.HELD],
    [WorkerLayout.HELD, WorkerLayout.SHARES],
  ] as const) {
    copy.bytes.fill(0, area + from, area + to);
  }
  KEPT.forEach((word, i) => {
    copy.u32[(area + word) >>> 2] = kept[i] ?? 0;
  });
  const buckets = (copy.u32[(HeaderLayout.AT + HeaderLayout.FLOW_BUCKET_MASK) >>> 2] ?? 0) + 1;
  for (let bucket = 0; bucket < buckets; bucket++) {
    copy.u32[(copy.at(Region.flowBuckets) + bucket * FlowLayout.BUCKET_SIZE + FlowLayout.BUCKET_LOCK) >>> 2] = 0;
  }
  new FlowTableRepair(copy.memory).repair([]);
  return leaveCalls(copy);
}
