// The index of the flow table: buckets of one cache line, 15 entries each, that lead from a hash to flow records.
// Readers take no lock. Writers lock one bucket at a time, so they cannot wait for each other in a circle.

import { flowBucketMask, flowBucketsAt, lockOwner, workerAt } from "../area/regions.ts";
import { Cell } from "../record/cell.ts";
import { WorkerArea } from "../record/worker.ts";
import * as FlowLayout from "../shared/layout/flow.ts";

export const FORWARD: u32 = 0;
export const REVERSE: u32 = 1;

const DIRECTION_AND_TAG: u32 = 0xffe00001;
/** Turns of spinning before a writer sleeps: the holder may have been preempted on the same core. */
const LOCK_SPINS = 100;
const LOCK_SLEEP_NS: i64 = 50_000;

/** By bits 34 and up; those of the tag are above them (FlowLayout.LIMIT_MAX: at most 2^19 buckets). */
export function bucketAt(hash: u64): usize {
  return flowBucketsAt + <usize>(<u32>(hash >>> 34) & flowBucketMask) * FlowLayout.BUCKET_SIZE;
}

export function entryOf(hash: u64, record: u32, direction: u32): u32 {
  return ((<u32>(hash >>> 53)) << FlowLayout.TAG_SHIFT) | (record << 1) | direction;
}

/** By its index from 0. */
export function entryAt(bucket: usize, index: u32): Cell<u32> {
  return changetype<Cell<u32>>(bucket + FlowLayout.BUCKET_ENTRIES + ((<usize>index) << 2));
}

export function recordOf(entry: u32): u32 {
  return (entry >>> 1) & FlowLayout.INDEX_MASK;
}

/**
 * Bit set of the entries whose tag and direction are those of `hash` and `direction`: bit n is for the word at
 * bucket + 4 * n. A free entry can match; its record is 0.
 */
export function matches(bucket: usize, hash: u64, direction: u32): u32 {
  const mask = i32x4.splat(DIRECTION_AND_TAG);
  const wanted = i32x4.splat(entryOf(hash, 0, direction));
  const found =
    i32x4.bitmask(i32x4.eq(v128.and(v128.load(bucket), mask), wanted)) |
    (i32x4.bitmask(i32x4.eq(v128.and(v128.load(bucket, 16), mask), wanted)) << 4) |
    (i32x4.bitmask(i32x4.eq(v128.and(v128.load(bucket, 32), mask), wanted)) << 8) |
    (i32x4.bitmask(i32x4.eq(v128.and(v128.load(bucket, 48), mask), wanted)) << 12);
  return found & ~1; // word 0 is the lock
}

/** If this worker dies meanwhile, control finds the lock by what is noted first (src/memory/flow-repair.ts). */
export function lock(bucket: usize): void {
  WorkerArea.at(workerAt).locking = <u32>bucket;
  let spins = 0;
  while (true) {
    const holder = lockOf(bucket).exchangeIf(0, lockOwner);
    if (holder == 0) return;
    if (++spins > LOCK_SPINS) lockOf(bucket).wait(holder, LOCK_SLEEP_NS);
  }
}

export function unlock(bucket: usize): void {
  lockOf(bucket).store(0);
}

/** Stores an entry in a free place of a locked bucket; false if there is none. */
export function put(bucket: usize, entry: u32): bool {
  for (let i = 0; i < FlowLayout.BUCKET_ENTRY_COUNT; i++) {
    if (entryAt(bucket, i).value != 0) continue;
    entryAt(bucket, i).store(entry);
    return true;
  }
  return false;
}

/** Frees the place of an entry, if it has one. */
export function take(bucket: usize, entry: u32): void {
  lock(bucket);
  for (let i = 0; i < FlowLayout.BUCKET_ENTRY_COUNT; i++) {
    if (entryAt(bucket, i).value != entry) continue;
    entryAt(bucket, i).store(0);
    break;
  }
  unlock(bucket);
}

function lockOf(bucket: usize): Cell<u32> {
  return changetype<Cell<u32>>(bucket + FlowLayout.BUCKET_LOCK);
}
