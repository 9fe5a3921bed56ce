// Packets to service addresses that the tables do not hold: they wait, within bounds, while the control plane is asked.
// Everything else goes on meanwhile. An address that was refused is remembered, so that it is not asked for at once.

import { count } from "../frame/count.ts";
import { firstWaiting, hold, PARKED, waitingBytes, waitingCount, waitingRecord } from "../frame/hold.ts";
import { Counter } from "../shared/counters.ts";
import {
  HEADER_AT,
  HEADER_PARK_BYTES,
  HEADER_PARK_MS,
  HEADER_PARK_PACKETS,
  HEADER_REFUSAL_COUNT,
  HEADER_REFUSALS,
  HELD_DESTINATION,
  HELD_NEXT,
  HELD_SINCE_MS,
  QUESTION_ADDRESS,
  QUESTION_AT_MS,
  QUESTION_MAX,
  QUESTION_SIZE,
  REFUSAL_ADDRESS,
  REFUSAL_AT_MS,
  REFUSAL_MAX,
  REFUSAL_SIZE,
  REFUSED_MAX,
  WORKER_QUESTION_COUNT,
  WORKER_QUESTIONS,
  WORKER_REFUSAL_COUNT,
  WORKER_REFUSED,
} from "../shared/layout.ts";
import { VIRTIO_NET_HDR_SIZE } from "../shared/protocols.ts";
import { DropReason } from "../shared/verdicts.ts";
import { sameAddress } from "../table/address.ts";
import { fragmentKey } from "../table/first-fragment.ts";
import { addressHash } from "../table/hash.ts";
import { workerAt } from "../table/regions.ts";
import { Packet } from "../wire/packet.ts";

/** How long an address that was refused is refused without asking. */
const REFUSED_MS: u32 = 1000;

let isUnparking: bool = false;

/** Parks the frame of a packet to an unknown address, or says why not. */
export function park(packet: Packet, nowMs: u32): DropReason {
  if (load<u32>(HEADER_AT, HEADER_PARK_MS) == 0) return DropReason.unknownAddress;
  learnRefusals();
  if (isRefused(packet.destinationAt, nowMs)) return DropReason.unknownAddress;
  const waiting = countParked(packet.destination);
  if (waiting == load<u32>(HEADER_AT, HEADER_PARK_PACKETS)) return DropReason.holdFull;
  if (waitingBytes(PARKED) + VIRTIO_NET_HDR_SIZE + packet.length > load<u32>(HEADER_AT, HEADER_PARK_BYTES))
    return DropReason.holdFull;
  const key = fragmentKey();
  v128.store(key, packet.destination, HELD_DESTINATION);
  if (!hold(PARKED, packet, VIRTIO_NET_HDR_SIZE, key, nowMs)) return DropReason.holdFull;
  count(Counter.packetsParked, 1);
  if (waiting == 0) ask(packet.destination, nowMs);
  return DropReason.none;
}

/** Whether packets to the address wait already; then others have to wait behind them. */
export function isParked(address: v128): bool {
  return waitingCount(PARKED) != 0 && !isUnparking && countParked(address) != 0;
}

/** While packets are taken out of their row, they do not wait for those behind them. */
export function setUnparking(is: bool): void {
  isUnparking = is;
}

/** Whether a parked packet has waited for too long, or its address was refused meanwhile; then it is from now on. */
export function isGivenUp(record: usize, nowMs: u32): bool {
  const address = record + HELD_DESTINATION;
  if (isRefused(address, nowMs)) return true;
  if (nowMs - load<u32>(record, HELD_SINCE_MS) < load<u32>(HEADER_AT, HEADER_PARK_MS)) return false;
  remember(address, nowMs);
  return true;
}

/** Takes over what the control plane refused since the last time. */
export function learnRefusals(): void {
  const written = atomic.load<u32>(HEADER_AT, HEADER_REFUSAL_COUNT);
  let seen = load<u32>(workerAt, WORKER_REFUSAL_COUNT);
  if (written - seen > <u32>REFUSAL_MAX) seen = written - REFUSAL_MAX;
  for (; seen != written; seen++) {
    const refusal = HEADER_AT + HEADER_REFUSALS + (seen % REFUSAL_MAX) * REFUSAL_SIZE;
    remember(refusal + REFUSAL_ADDRESS, load<u32>(refusal, REFUSAL_AT_MS));
  }
  store<u32>(workerAt, written, WORKER_REFUSAL_COUNT);
}

function countParked(address: v128): u32 {
  let parked: u32 = 0;
  for (let number = firstWaiting(PARKED); number != 0; number = load<u32>(waitingRecord(number), HELD_NEXT)) {
    if (sameAddress(v128.load(waitingRecord(number), HELD_DESTINATION), address)) parked++;
  }
  return parked;
}

function ask(address: v128, nowMs: u32): void {
  const asked = load<u32>(workerAt, WORKER_QUESTION_COUNT);
  const question = workerAt + WORKER_QUESTIONS + <usize>(asked % QUESTION_MAX) * QUESTION_SIZE;
  v128.store(question, address, QUESTION_ADDRESS);
  store<u32>(question, nowMs, QUESTION_AT_MS);
  atomic.store<u32>(workerAt, asked + 1, WORKER_QUESTION_COUNT);
  count(Counter.addressesAsked, 1);
}

/** Two addresses of one place push each other out, so that one may be asked for early. */
function remember(address: usize, atMs: u32): void {
  const place = refusedAt(address);
  v128.store(place, v128.load(address), REFUSAL_ADDRESS);
  store<u32>(place, atMs, REFUSAL_AT_MS);
}

function isRefused(address: usize, nowMs: u32): bool {
  const place = refusedAt(address);
  if (!sameAddress(v128.load(place, REFUSAL_ADDRESS), v128.load(address))) return false;
  // The control plane may have refused it a moment after `nowMs` was taken.
  return <i32>(nowMs - load<u32>(place, REFUSAL_AT_MS)) < <i32>REFUSED_MS;
}

function refusedAt(address: usize): usize {
  return workerAt + WORKER_REFUSED + <usize>(addressHash(address) % REFUSED_MAX) * REFUSAL_SIZE;
}
