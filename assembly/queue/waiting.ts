// Packets that wait in the worker's memory for something that is not there yet. They are copied: their slots are
// needed for others. What is released is in a transmit queue until the next call, and then its blocks are free.

import { workerAt } from "../area/regions.ts";
import { Held, WaitingRow } from "../record/waiting.ts";
import { WorkerArea } from "../record/worker.ts";
import * as FragmentLayout from "../shared/layout/fragment.ts";
import * as WaitingLayout from "../shared/layout/waiting.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import { Packet } from "../wire/packet.ts";
import { copyPacket } from "./parts.ts";

/** The rows that packets wait in, oldest first: fragments without a first one, packets to unknown addresses. */
export const FRAGMENTS: usize = WorkerLayout.WAITING_FRAGMENTS;
export const PARKED: usize = WorkerLayout.WAITING_PARKED;

/** What describes the packet with this number. */
export function waitingRecord(number: u32): usize {
  return workerAt + WorkerLayout.HELD + <usize>(number - 1) * WaitingLayout.HELD_SIZE;
}

/** First byte of a packet that waits. In front of it is room as in front of a received one. */
export function waitingAt(number: u32): usize {
  return (
    workerAt +
    WorkerLayout.HOLD_BLOCKS +
    <usize>(number - 1) * WaitingLayout.HOLD_BLOCK_SIZE +
    WorkerLayout.SLOT_HEADROOM
  );
}

export function rowOf(row: usize): WaitingRow {
  return WaitingRow.at(workerAt + row);
}

/** Blocks that a packet of this length takes. */
export function blocksOf(length: u32): u32 {
  return (WorkerLayout.SLOT_HEADROOM + length + WaitingLayout.HOLD_BLOCK_SIZE - 1) / WaitingLayout.HOLD_BLOCK_SIZE;
}

/** Copies a packet, the `inFront` bytes in front of its headers, and the key to the end of a row. False: no room. */
export function hold(row: usize, packet: Packet, inFront: u32, key: usize, owner: u32, nowMs: u32): bool {
  const length = inFront + packet.length;
  const number = takeBlocks(row, blocksOf(length));
  if (number == 0) return false;
  copyPacket(packet, inFront, waitingAt(number));
  const record = waitingRecord(number);
  const waiting = rowOf(row);
  const last = waiting.last;
  Held.at(record).addChanges(1);
  memory.copy(record, key, FragmentLayout.KEY_SIZE);
  Held.at(record).length = length;
  Held.at(record).sinceMs = nowMs;
  Held.at(record).next = 0;
  Held.at(record).before = last;
  Held.at(record).owner = owner;
  Held.at(record).storeState(WaitingLayout.HOLD_FIRST);
  Held.at(record).addChanges(1);
  if (last == 0) waiting.first = number;
  else Held.at(waitingRecord(last)).next = number;
  waiting.last = number;
  waiting.count = waiting.count + 1;
  waiting.bytes = waiting.bytes + length;
  return true;
}

/** Takes a packet out of a row. Its bytes stay until the next call, for a transmit queue. */
export function release(row: usize, number: u32): void {
  const record = waitingRecord(number);
  unlink(row, record);
  Held.at(record).storeState(WaitingLayout.HOLD_RELEASED);
  Held.at(record).next = WorkerArea.at(workerAt).releasedFirst;
  WorkerArea.at(workerAt).releasedFirst = number;
}

/** Takes a packet out of a row that is dropped: its blocks are free at once. */
export function discard(row: usize, number: u32): void {
  const record = waitingRecord(number);
  unlink(row, record);
  freeBlocks(record);
}

/** To be called when the transmit queues were emptied. */
export function freeReleased(): void {
  for (let number = WorkerArea.at(workerAt).releasedFirst; number != 0; ) {
    const record = waitingRecord(number);
    number = Held.at(record).next;
    freeBlocks(record);
  }
  WorkerArea.at(workerAt).releasedFirst = 0;
}

function unlink(row: usize, record: usize): void {
  const waiting = rowOf(row);
  const next = Held.at(record).next;
  const before = Held.at(record).before;
  if (before == 0) waiting.first = next;
  else Held.at(waitingRecord(before)).next = next;
  if (next == 0) waiting.last = before;
  else Held.at(waitingRecord(next)).before = before;
  waiting.count = waiting.count - 1;
  waiting.bytes = waiting.bytes - Held.at(record).length;
}

function freeBlocks(record: usize): void {
  const blocks = Held.at(record).blocks;
  for (let i: u32 = 0; i < blocks; i++)
    Held.at(record + <usize>i * WaitingLayout.HELD_SIZE).storeState(WaitingLayout.HOLD_FREE);
}

/** Takes consecutive free blocks; returns the number of the first one, 0 = there are none. */
function takeBlocks(row: usize, needed: u32): u32 {
  const first: u32 = row == FRAGMENTS ? 1 : WaitingLayout.HOLD_FRAGMENT_BLOCKS + 1;
  const last: u32 = row == FRAGMENTS ? WaitingLayout.HOLD_FRAGMENT_BLOCKS : WaitingLayout.HOLD_BLOCK_COUNT;
  let free: u32 = 0;
  for (let number = first; number <= last; number++) {
    free = Held.at(waitingRecord(number)).state == WaitingLayout.HOLD_FREE ? free + 1 : 0;
    if (free < needed) continue;
    const taken = number - needed + 1;
    for (let i = taken; i <= number; i++) Held.at(waitingRecord(i)).state = WaitingLayout.HOLD_CONTINUED;
    Held.at(waitingRecord(taken)).blocks = needed;
    return taken;
  }
  return 0;
}
