// Packets that wait in the worker's memory for something that is not there yet. They are copied: their slots are
// needed for others. What is released stands in a transmit queue until the next call, and its blocks are free then.

import {
  FRAGMENT_KEY_SIZE,
  HELD_BLOCKS,
  HELD_LENGTH,
  HELD_NEXT,
  HELD_SINCE_MS,
  HELD_SIZE,
  HELD_STATE,
  HOLD_BLOCK_COUNT,
  HOLD_BLOCK_SIZE,
  HOLD_CONTINUED,
  HOLD_FIRST,
  HOLD_FREE,
  SLOT_HEADROOM,
  WORKER_HELD,
  WORKER_HELD_BYTES,
  WORKER_HELD_COUNT,
  WORKER_HELD_FIRST,
  WORKER_HELD_LAST,
  WORKER_HOLD_BLOCKS,
  WORKER_RELEASED_FIRST,
} from "../shared/layout.ts";
import { workerAt } from "../table/regions.ts";

/** The packet with the number that hold() gave. */
export function heldRecord(number: u32): usize {
  return workerAt + WORKER_HELD + <usize>(number - 1) * HELD_SIZE;
}

/** First byte of a packet that waits. In front of it is room as in front of a received one. */
export function heldAt(number: u32): usize {
  return workerAt + WORKER_HOLD_BLOCKS + <usize>(number - 1) * HOLD_BLOCK_SIZE + SLOT_HEADROOM;
}

export function heldCount(): u32 {
  return load<u32>(workerAt, WORKER_HELD_COUNT);
}

/** The packet that has waited longest, or 0. */
export function firstHeld(): u32 {
  return load<u32>(workerAt, WORKER_HELD_FIRST);
}

/** Copies `length` bytes and the key behind those that wait. False: no room. */
export function hold(at: usize, length: u32, key: usize, nowMs: u32): bool {
  const number = takeBlocks(length);
  if (number == 0) return false;
  memory.copy(heldAt(number), at, length);
  const record = heldRecord(number);
  memory.copy(record, key, FRAGMENT_KEY_SIZE);
  store<u32>(record, length, HELD_LENGTH);
  store<u32>(record, nowMs, HELD_SINCE_MS);
  store<u32>(record, 0, HELD_NEXT);
  const last = load<u32>(workerAt, WORKER_HELD_LAST);
  if (last == 0) store<u32>(workerAt, number, WORKER_HELD_FIRST);
  else store<u32>(heldRecord(last), number, HELD_NEXT);
  store<u32>(workerAt, number, WORKER_HELD_LAST);
  store<u32>(workerAt, heldCount() + 1, WORKER_HELD_COUNT);
  store<u32>(workerAt, load<u32>(workerAt, WORKER_HELD_BYTES) + length, WORKER_HELD_BYTES);
  return true;
}

/** Takes a packet out of the row; `before` is the one in front of it, or 0. Its bytes stay until the next call. */
export function releaseHeld(number: u32, before: u32): void {
  const record = heldRecord(number);
  const next = load<u32>(record, HELD_NEXT);
  if (before == 0) store<u32>(workerAt, next, WORKER_HELD_FIRST);
  else store<u32>(heldRecord(before), next, HELD_NEXT);
  if (next == 0) store<u32>(workerAt, before, WORKER_HELD_LAST);
  store<u32>(workerAt, heldCount() - 1, WORKER_HELD_COUNT);
  store<u32>(workerAt, load<u32>(workerAt, WORKER_HELD_BYTES) - load<u32>(record, HELD_LENGTH), WORKER_HELD_BYTES);
  store<u32>(record, load<u32>(workerAt, WORKER_RELEASED_FIRST), HELD_NEXT);
  store<u32>(workerAt, number, WORKER_RELEASED_FIRST);
}

/** To be called when the transmit queues were emptied. */
export function freeReleased(): void {
  for (let number = load<u32>(workerAt, WORKER_RELEASED_FIRST); number != 0; ) {
    const record = heldRecord(number);
    const next = load<u32>(record, HELD_NEXT);
    const blocks = load<u32>(record, HELD_BLOCKS);
    for (let i: u32 = 0; i < blocks; i++) store<u8>(record + <usize>i * HELD_SIZE, HOLD_FREE, HELD_STATE);
    number = next;
  }
  store<u32>(workerAt, 0, WORKER_RELEASED_FIRST);
}

/** Number of the first of enough free blocks in a row, which are taken then; 0 = there are none. */
function takeBlocks(length: u32): u32 {
  const needed: u32 = (SLOT_HEADROOM + length + HOLD_BLOCK_SIZE - 1) / HOLD_BLOCK_SIZE;
  let free: u32 = 0;
  for (let number: u32 = 1; number <= <u32>HOLD_BLOCK_COUNT; number++) {
    free = load<u8>(heldRecord(number), HELD_STATE) == HOLD_FREE ? free + 1 : 0;
    if (free < needed) continue;
    const first = number - needed + 1;
    for (let i = first; i <= number; i++) store<u8>(heldRecord(i), HOLD_CONTINUED, HELD_STATE);
    store<u8>(heldRecord(first), HOLD_FIRST, HELD_STATE);
    store<u32>(heldRecord(first), needed, HELD_BLOCKS);
    return first;
  }
  return 0;
}
