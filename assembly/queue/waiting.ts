// Packets that wait in the worker's memory for something that is not there yet. They are copied: their slots are
// needed for others. What is released stands in a transmit queue until the next call, and its blocks are free then.

import { workerAt } from "../area/regions.ts";
import {
  FRAGMENT_KEY_SIZE,
  HELD_BEFORE,
  HELD_BLOCKS,
  HELD_CHANGES,
  HELD_LENGTH,
  HELD_NEXT,
  HELD_OWNER,
  HELD_SINCE_MS,
  HELD_SIZE,
  HELD_STATE,
  HOLD_BLOCK_COUNT,
  HOLD_BLOCK_SIZE,
  HOLD_CONTINUED,
  HOLD_FIRST,
  HOLD_FRAGMENT_BLOCKS,
  HOLD_FREE,
  HOLD_RELEASED,
  SLOT_HEADROOM,
  WAITING_BYTES,
  WAITING_COUNT,
  WAITING_FIRST,
  WAITING_LAST,
  WORKER_HELD,
  WORKER_HOLD_BLOCKS,
  WORKER_RELEASED_FIRST,
  WORKER_WAITING_FRAGMENTS,
  WORKER_WAITING_PARKED,
} from "../shared/layout.ts";
import { Packet } from "../wire/packet.ts";
import { copyPacket } from "./parts.ts";

/** The rows that packets wait in, oldest first: fragments without a first one, packets to unknown addresses. */
export const FRAGMENTS: usize = WORKER_WAITING_FRAGMENTS;
export const PARKED: usize = WORKER_WAITING_PARKED;

/** What describes the packet with this number. */
export function waitingRecord(number: u32): usize {
  return workerAt + WORKER_HELD + <usize>(number - 1) * HELD_SIZE;
}

/** First byte of a packet that waits. In front of it is room as in front of a received one. */
export function waitingAt(number: u32): usize {
  return workerAt + WORKER_HOLD_BLOCKS + <usize>(number - 1) * HOLD_BLOCK_SIZE + SLOT_HEADROOM;
}

export function waitingCount(row: usize): u32 {
  return load<u32>(workerAt + row, WAITING_COUNT);
}

export function waitingBytes(row: usize): u32 {
  return load<u32>(workerAt + row, WAITING_BYTES);
}

/** Number of the packet that has waited longest, or 0. */
export function firstWaiting(row: usize): u32 {
  return load<u32>(workerAt + row, WAITING_FIRST);
}

/** Blocks that a packet of so many bytes takes. */
export function blocksOf(length: u32): u32 {
  return (SLOT_HEADROOM + length + HOLD_BLOCK_SIZE - 1) / HOLD_BLOCK_SIZE;
}

/** Copies a packet, the `inFront` bytes in front of its headers, and the key to the end of a row. False: no room. */
export function hold(row: usize, packet: Packet, inFront: u32, key: usize, owner: u32, nowMs: u32): bool {
  const length = inFront + packet.length;
  const number = takeBlocks(row, blocksOf(length));
  if (number == 0) return false;
  copyPacket(packet, inFront, waitingAt(number));
  const record = waitingRecord(number);
  const rowAt = workerAt + row;
  const last = load<u32>(rowAt, WAITING_LAST);
  atomic.add<u32>(record, 1, HELD_CHANGES);
  memory.copy(record, key, FRAGMENT_KEY_SIZE);
  store<u32>(record, length, HELD_LENGTH);
  store<u32>(record, nowMs, HELD_SINCE_MS);
  store<u32>(record, 0, HELD_NEXT);
  store<u32>(record, last, HELD_BEFORE);
  store<u32>(record, owner, HELD_OWNER);
  atomic.store<u32>(record, HOLD_FIRST, HELD_STATE);
  atomic.add<u32>(record, 1, HELD_CHANGES);
  if (last == 0) store<u32>(rowAt, number, WAITING_FIRST);
  else store<u32>(waitingRecord(last), number, HELD_NEXT);
  store<u32>(rowAt, number, WAITING_LAST);
  store<u32>(rowAt, waitingCount(row) + 1, WAITING_COUNT);
  store<u32>(rowAt, waitingBytes(row) + length, WAITING_BYTES);
  return true;
}

/** Takes a packet out of a row. Its bytes stay until the next call, for a transmit queue. */
export function release(row: usize, number: u32): void {
  const record = waitingRecord(number);
  unlink(row, record);
  atomic.store<u32>(record, HOLD_RELEASED, HELD_STATE);
  store<u32>(record, load<u32>(workerAt, WORKER_RELEASED_FIRST), HELD_NEXT);
  store<u32>(workerAt, number, WORKER_RELEASED_FIRST);
}

/** Takes a packet out of a row that is dropped: its blocks are free at once. */
export function discard(row: usize, number: u32): void {
  const record = waitingRecord(number);
  unlink(row, record);
  freeBlocks(record);
}

/** To be called when the transmit queues were emptied. */
export function freeReleased(): void {
  for (let number = load<u32>(workerAt, WORKER_RELEASED_FIRST); number != 0; ) {
    const record = waitingRecord(number);
    number = load<u32>(record, HELD_NEXT);
    freeBlocks(record);
  }
  store<u32>(workerAt, 0, WORKER_RELEASED_FIRST);
}

function unlink(row: usize, record: usize): void {
  const rowAt = workerAt + row;
  const next = load<u32>(record, HELD_NEXT);
  const before = load<u32>(record, HELD_BEFORE);
  if (before == 0) store<u32>(rowAt, next, WAITING_FIRST);
  else store<u32>(waitingRecord(before), next, HELD_NEXT);
  if (next == 0) store<u32>(rowAt, before, WAITING_LAST);
  else store<u32>(waitingRecord(next), before, HELD_BEFORE);
  store<u32>(rowAt, waitingCount(row) - 1, WAITING_COUNT);
  store<u32>(rowAt, waitingBytes(row) - load<u32>(record, HELD_LENGTH), WAITING_BYTES);
}

function freeBlocks(record: usize): void {
  const blocks = load<u32>(record, HELD_BLOCKS);
  for (let i: u32 = 0; i < blocks; i++) atomic.store<u32>(record + <usize>i * HELD_SIZE, HOLD_FREE, HELD_STATE);
}

/** Number of the first of so many free blocks in a row, which are taken then; 0 = there are none. */
function takeBlocks(row: usize, needed: u32): u32 {
  const first: u32 = row == FRAGMENTS ? 1 : HOLD_FRAGMENT_BLOCKS + 1;
  const last: u32 = row == FRAGMENTS ? HOLD_FRAGMENT_BLOCKS : HOLD_BLOCK_COUNT;
  let free: u32 = 0;
  for (let number = first; number <= last; number++) {
    free = load<u32>(waitingRecord(number), HELD_STATE) == HOLD_FREE ? free + 1 : 0;
    if (free < needed) continue;
    const taken = number - needed + 1;
    for (let i = taken; i <= number; i++) store<u32>(waitingRecord(i), HOLD_CONTINUED, HELD_STATE);
    store<u32>(waitingRecord(taken), needed, HELD_BLOCKS);
    return taken;
  }
  return 0;
}
