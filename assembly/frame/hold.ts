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
import { workerAt } from "../table/regions.ts";
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

/** Copies a packet, the `inFront` bytes in front of its headers, and the key to the end of a row. False: no room. */
export function hold(row: usize, packet: Packet, inFront: u32, key: usize, nowMs: u32): bool {
  const length = inFront + packet.length;
  const number = takeBlocks(length);
  if (number == 0) return false;
  copyPacket(packet, inFront, waitingAt(number));
  const record = waitingRecord(number);
  memory.copy(record, key, FRAGMENT_KEY_SIZE);
  store<u32>(record, length, HELD_LENGTH);
  store<u32>(record, nowMs, HELD_SINCE_MS);
  store<u32>(record, 0, HELD_NEXT);
  const rowAt = workerAt + row;
  const last = load<u32>(rowAt, WAITING_LAST);
  if (last == 0) store<u32>(rowAt, number, WAITING_FIRST);
  else store<u32>(waitingRecord(last), number, HELD_NEXT);
  store<u32>(rowAt, number, WAITING_LAST);
  store<u32>(rowAt, waitingCount(row) + 1, WAITING_COUNT);
  store<u32>(rowAt, waitingBytes(row) + length, WAITING_BYTES);
  return true;
}

/** Takes a packet out of a row; `before` is the one in front of it, or 0. Its bytes stay until the next call. */
export function release(row: usize, number: u32, before: u32): void {
  const rowAt = workerAt + row;
  const record = waitingRecord(number);
  const next = load<u32>(record, HELD_NEXT);
  if (before == 0) store<u32>(rowAt, next, WAITING_FIRST);
  else store<u32>(waitingRecord(before), next, HELD_NEXT);
  if (next == 0) store<u32>(rowAt, before, WAITING_LAST);
  store<u32>(rowAt, waitingCount(row) - 1, WAITING_COUNT);
  store<u32>(rowAt, waitingBytes(row) - load<u32>(record, HELD_LENGTH), WAITING_BYTES);
  store<u32>(record, load<u32>(workerAt, WORKER_RELEASED_FIRST), HELD_NEXT);
  store<u32>(workerAt, number, WORKER_RELEASED_FIRST);
}

/** To be called when the transmit queues were emptied. */
export function freeReleased(): void {
  for (let number = load<u32>(workerAt, WORKER_RELEASED_FIRST); number != 0; ) {
    const record = waitingRecord(number);
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
    free = load<u8>(waitingRecord(number), HELD_STATE) == HOLD_FREE ? free + 1 : 0;
    if (free < needed) continue;
    const first = number - needed + 1;
    for (let i = first; i <= number; i++) store<u8>(waitingRecord(i), HOLD_CONTINUED, HELD_STATE);
    store<u8>(waitingRecord(first), HOLD_FIRST, HELD_STATE);
    store<u32>(waitingRecord(first), needed, HELD_BLOCKS);
    return first;
  }
  return 0;
}
