// Packets to service addresses that the tables do not hold: they wait, within bounds, while the control plane is asked.
// Everything else goes on meanwhile. An address that was refused is remembered, so that it is not asked for at once.

import { count, countEgressDrop } from "../area/count.ts";
import { workerAt } from "../area/regions.ts";
import { concerns, largestOwner, NO_OWNER } from "../queue/shares.ts";
import { blocksOf, discard, hold, PARKED, rowOf, waitingRecord } from "../queue/waiting.ts";
import * as Header from "../record/header.ts";
import { Refusal } from "../record/refusal.ts";
import { Held } from "../record/waiting.ts";
import { WorkerArea } from "../record/worker.ts";
import { Counter } from "../shared/counters.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import * as RefusalLayout from "../shared/layout/refusal.ts";
import * as WaitingLayout from "../shared/layout/waiting.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import { DropReason } from "../shared/verdicts.ts";
import * as Virtio from "../shared/virtio.ts";
import { findService, sameAddress } from "../table/address.ts";
import { fragmentKey } from "../table/first-fragment.ts";
import { findForward, packetHash } from "../table/flow.ts";
import { addressHash } from "../table/hash.ts";
import { Packet } from "../wire/packet.ts";
import { hasCalled } from "./callers.ts";
import { workloadOwner } from "./owner.ts";

/** How long an address that was refused is refused without asking. */
const REFUSED_MS: u32 = 1000;

let isUnparking: bool = false;

/** Parks the frame of a packet to an unknown address, or says why not. */
export function park(packet: Packet, nowMs: u32): DropReason {
  if (Header.parkMs.value == 0) return DropReason.unknownAddress;
  learnRefusals(nowMs);
  if (isRefused(packet.destinationAt, nowMs)) return DropReason.unknownAddress;
  const address = packet.destination;
  const length: u32 = Virtio.SIZE + packet.length;
  if (length > Header.parkBytes.value) return DropReason.holdFull;
  const owner = ownerOfParked(packet, nowMs);
  const waiting = countParked(address);
  if (waiting == Header.parkPackets.value && !crowdOut(owner, blocksOf(length), address)) {
    return DropReason.holdFull;
  }
  const key = fragmentKey();
  Held.at(key).destination = address;
  // A packet to an address that is known by now waits only to be sent, so it has precedence over all others.
  const claimant = findService(packet.destinationAt) == 0 ? owner : NO_OWNER;
  while (isFull(length) || !hold(PARKED, packet, Virtio.SIZE, key, owner, nowMs)) {
    if (!crowdOut(claimant, blocksOf(length), i64x2.splat(0))) return DropReason.holdFull;
  }
  count(Counter.packetsParked, 1);
  if (waiting == 0) count(Counter.addressesAsked, 1);
  return DropReason.none;
}

/**
 * What a connection or an answer depends on has a share of its own, so that what the same workload calls besides leaves
 * it its room.
 */
function ownerOfParked(packet: Packet, nowMs: u32): u32 {
  const isUrgent =
    findForward(packet, packetHash(packet)) != 0 || hasCalled(packet.destinationAt, packet.sourceAt, nowMs);
  return workloadOwner(packet) | (isUrgent ? <u32>WaitingLayout.OWNER_URGENT : 0);
}

/** Whether packets to the address wait already; then others have to wait behind them. */
export function isParked(address: v128): bool {
  return rowOf(PARKED).count != 0 && !isUnparking && countParked(address) != 0;
}

/** While packets are taken out of their row, they do not wait for those behind them. */
export function setUnparking(is: bool): void {
  isUnparking = is;
}

/** Whether a parked packet has waited for too long, or its address was refused meanwhile; then it is from now on. */
export function isGivenUp(record: usize, nowMs: u32): bool {
  const address = record + WaitingLayout.HELD_DESTINATION;
  if (isRefused(address, nowMs)) return true;
  if (nowMs - Held.at(record).sinceMs < Header.parkMs.value) return false;
  remember(address, Held.at(record).owner, false, nowMs, nowMs);
  return true;
}

/** Takes over what the control plane refused since the last time. */
export function learnRefusals(nowMs: u32): void {
  const written = Header.refusalCount.load();
  let seen = WorkerArea.at(workerAt).refusalCount;
  if (written - seen > <u32>RefusalLayout.MAX) seen = written - RefusalLayout.MAX;
  for (; seen != written; seen++) {
    const refusal = HeaderLayout.AT + HeaderLayout.REFUSALS + (seen % RefusalLayout.MAX) * RefusalLayout.SIZE;
    const address = refusal + RefusalLayout.ADDRESS;
    remember(address, ownerOf(v128.load(address)), true, Refusal.at(refusal).atMs, nowMs);
  }
  WorkerArea.at(workerAt).refusalCount = written;
}

function isFull(length: u32): bool {
  return rowOf(PARKED).bytes + length > Header.parkBytes.value;
}

/**
 * Drops the oldest packet of the owner that has most, if that is more than `owner` would have: of those to `address`
 * alone, unless that is no address. A packet to an address that is known by now is never dropped.
 */
function crowdOut(owner: u32, blocks: u32, address: v128): bool {
  const largest = largestOwner(PARKED, owner, blocks, address);
  if (largest == NO_OWNER) return false;
  let number = rowOf(PARKED).first;
  for (let left = rowOf(PARKED).count; left != 0; left--) {
    const record = waitingRecord(number);
    const isOfLargest = Held.at(record).owner == largest && concerns(record, address);
    if (isOfLargest && findService(record + WaitingLayout.HELD_DESTINATION) == 0) {
      countEgressDrop(DropReason.holdFull, 1);
      discard(PARKED, number);
      return true;
    }
    number = Held.at(record).next;
  }
  return false;
}

function countParked(address: v128): u32 {
  let parked: u32 = 0;
  let number = rowOf(PARKED).first;
  for (let left = rowOf(PARKED).count; left != 0; left--) {
    const record = waitingRecord(number);
    if (concerns(record, address)) parked++;
    number = Held.at(record).next;
  }
  return parked;
}

/** Whose packet waits for the address. */
function ownerOf(address: v128): u32 {
  let number = rowOf(PARKED).first;
  for (let left = rowOf(PARKED).count; left != 0; left--) {
    const record = waitingRecord(number);
    if (concerns(record, address)) return Held.at(record).owner;
    number = Held.at(record).next;
  }
  return WaitingLayout.OWNER_OTHERS;
}

/**
 * In the record that has the address, or is free, or not fresh any more, or the oldest of the owner with most of the
 * set.
 */
function remember(address: usize, owner: u32, isDenial: bool, atMs: u32, nowMs: u32): void {
  const set = refusedSetAt(address);
  let place = set;
  let bestRank: u64 = 0;
  for (let i: u32 = 0; i < <u32>RefusalLayout.REFUSED_SET; i++) {
    const record = set + i * RefusalLayout.SIZE;
    if (isSameRefusal(record, address)) {
      place = record;
      break;
    }
    const rank = isFresh(record, nowMs) ? crowding(set, record, nowMs) : u64.MAX_VALUE;
    if (i != 0 && rank <= bestRank) continue;
    place = record;
    bestRank = rank;
  }
  Refusal.at(place).address = v128.load(address);
  Refusal.at(place).atMs = atMs;
  Refusal.at(place).owner = owner;
  Refusal.at(place).isDenial = u32(isDenial);
}

/** How many records of the set the owner of one has, and how old it is. */
function crowding(set: usize, record: usize, nowMs: u32): u64 {
  let ofOwner: u64 = 0;
  for (let i: u32 = 0; i < <u32>RefusalLayout.REFUSED_SET; i++) {
    if (Refusal.at(set + i * RefusalLayout.SIZE).owner == Refusal.at(record).owner) ofOwner++;
  }
  return (ofOwner << 32) | ageOf(record, nowMs);
}

/** Whether the control plane said within the last second that there is no such address. */
export function isDenied(address: usize, nowMs: u32): bool {
  const record = refusalOf(address, nowMs);
  return record != 0 && Refusal.at(record).isDenial != 0;
}

function isRefused(address: usize, nowMs: u32): bool {
  return refusalOf(address, nowMs) != 0;
}

/** The fresh record that has the address, or 0. */
function refusalOf(address: usize, nowMs: u32): usize {
  const set = refusedSetAt(address);
  for (let i: u32 = 0; i < <u32>RefusalLayout.REFUSED_SET; i++) {
    const record = set + i * RefusalLayout.SIZE;
    if (isSameRefusal(record, address)) return isFresh(record, nowMs) ? record : 0;
  }
  return 0;
}

/** Forgets what is not fresh any more, so that no age is ever so large that it wraps. */
export function forgetRefused(nowMs: u32): void {
  for (let i: u32 = 0; i < <u32>RefusalLayout.REFUSED_MAX; i++) {
    const record = workerAt + WorkerLayout.REFUSED + <usize>i * RefusalLayout.SIZE;
    if (Refusal.at(record).owner != NO_OWNER && ageOf(record, nowMs) >= REFUSED_MS) {
      Refusal.at(record).owner = NO_OWNER;
    }
  }
}

function isSameRefusal(record: usize, address: usize): bool {
  const isTaken = Refusal.at(record).owner != NO_OWNER;
  return isTaken && sameAddress(Refusal.at(record).address, v128.load(address));
}

function isFresh(record: usize, nowMs: u32): bool {
  return Refusal.at(record).owner != NO_OWNER && ageOf(record, nowMs) < REFUSED_MS;
}

/** The control plane may have refused an address a moment after `nowMs` was taken. */
function ageOf(record: usize, nowMs: u32): u32 {
  const ageMs = nowMs - Refusal.at(record).atMs;
  return ageMs > u32.MAX_VALUE - REFUSED_MS ? 0 : ageMs;
}

function refusedSetAt(address: usize): usize {
  const set = addressHash(address) % (RefusalLayout.REFUSED_MAX / RefusalLayout.REFUSED_SET);
  return workerAt + WorkerLayout.REFUSED + <usize>set * (RefusalLayout.SIZE * RefusalLayout.REFUSED_SET);
}
