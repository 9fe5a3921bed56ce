// Questions of the workers to the control plane: which service addresses packets wait for that no table holds. And the
// refusals that go back; an address that is known answers by standing in the tables.

import {
  HEADER_AT,
  HEADER_REFUSAL_COUNT,
  HEADER_REFUSALS,
  HELD_CHANGES,
  HELD_DESTINATION,
  HELD_OWNER,
  HELD_SINCE_MS,
  HELD_SIZE,
  HELD_STATE,
  HOLD_BLOCK_COUNT,
  HOLD_FIRST,
  HOLD_FRAGMENT_BLOCKS,
  REFUSAL_ADDRESS,
  REFUSAL_AT_MS,
  REFUSAL_MAX,
  REFUSAL_SIZE,
  Region,
  WORKER_HELD,
  WORKER_SIZE,
} from "../../assembly/shared/layout.ts";
import { formatAddress, parseAddress } from "../net/address.ts";
import type { SharedMemory } from "./shared-memory.ts";

export interface Question {
  readonly address: string;
  readonly ageMs: number;
  /** Stands for the workload of the oldest packet: whom the room is counted to that it takes. */
  readonly asker: number;
}

/** A worker's clock may be that much ahead of the caller's. */
const AHEAD_MS = 1000;

/**
 * The addresses of packets that wait, each with the age of the oldest that is younger than `maxAgeMs`. What waits asks,
 * so that no question is lost as long as its packet is not.
 */
export function readQuestions(shared: SharedMemory, nowMs: number, maxAgeMs: number): Question[] {
  const oldest = new Map<string, Question>();
  for (let worker = 0; worker < shared.capacities.workers; worker++) {
    const recordsAt = shared.at(Region.workers) + worker * WORKER_SIZE + WORKER_HELD;
    for (let block = HOLD_FRAGMENT_BLOCKS; block < HOLD_BLOCK_COUNT; block++) {
      const question = readQuestion(shared, recordsAt + block * HELD_SIZE, nowMs);
      if (question === undefined || question.ageMs >= maxAgeMs) continue;
      const other = oldest.get(question.address);
      if (other === undefined || other.ageMs < question.ageMs) oldest.set(question.address, question);
    }
  }
  return [...oldest.values()];
}

/** What a packet that waits asks; undefined when none does, or when it changes at this moment. */
function readQuestion(shared: SharedMemory, at: number, nowMs: number): Question | undefined {
  const changes = Atomics.load(shared.i32, (at + HELD_CHANGES) >>> 2);
  if (Atomics.load(shared.i32, (at + HELD_STATE) >>> 2) !== HOLD_FIRST) return undefined;
  const address = formatAddress(shared.bytes, at + HELD_DESTINATION);
  const ageMs = (Math.trunc(nowMs % 2 ** 32) - (shared.u32[(at + HELD_SINCE_MS) >>> 2] ?? 0)) >>> 0;
  const asker = shared.u32[(at + HELD_OWNER) >>> 2] ?? 0;
  const isSettled = changes % 2 === 0 && Atomics.load(shared.i32, (at + HELD_CHANGES) >>> 2) === changes;
  return isSettled ? { address, ageMs: ageMs >= 2 ** 32 - AHEAD_MS ? 0 : ageMs, asker } : undefined;
}

/** Lets the workers give up packets to the address, and refuse it for a second. */
export function refuseAddress(shared: SharedMemory, address: string, nowMs: number): void {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new RangeError(`expected an address, found ${address}`);
  const count = shared.u32[(HEADER_AT + HEADER_REFUSAL_COUNT) >>> 2] ?? 0;
  const at = HEADER_AT + HEADER_REFUSALS + (count % REFUSAL_MAX) * REFUSAL_SIZE;
  shared.bytes.set(bytes, at + REFUSAL_ADDRESS);
  shared.u32[(at + REFUSAL_AT_MS) >>> 2] = Math.trunc(nowMs % 2 ** 32);
  Atomics.store(shared.i32, (HEADER_AT + HEADER_REFUSAL_COUNT) >>> 2, count + 1);
}
