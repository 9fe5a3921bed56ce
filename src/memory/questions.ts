// Questions of the workers to the control plane: which service addresses packets wait for that no table holds. And the
// refusals that go back; an address that is known answers by being in the tables.

import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as RefusalLayout from "../../assembly/shared/layout/refusal.ts";
import * as WaitingLayout from "../../assembly/shared/layout/waiting.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { formatAddress, parseAddress } from "../net/address.ts";
import type { SharedMemory } from "./shared-memory.ts";

export interface Question {
  readonly address: string;
  readonly ageMs: number;
  /** Numbers for the workloads whose packets wait, which are charged for the room. */
  readonly askers: readonly number[];
  /** A connection depends on it that was there before, or an answer to somebody who called. */
  readonly isUrgent: boolean;
}

/** A worker's clock may be that much ahead of the caller's. */
const AHEAD_MS = 1000;

/**
 * The addresses of packets that wait, each with the age of the oldest that is younger than `maxAgeMs`. What waits asks,
 * so that no question is lost as long as its packet is not.
 */
export function readQuestions(shared: SharedMemory, nowMs: number, maxAgeMs: number): Question[] {
  const asked = new Map<string, Question>();
  for (let worker = 0; worker < shared.capacities.workers; worker++) {
    const recordsAt = shared.at(Region.workers) + worker * WorkerLayout.SIZE + WorkerLayout.HELD;
    for (let block = WaitingLayout.HOLD_FRAGMENT_BLOCKS; block < WaitingLayout.HOLD_BLOCK_COUNT; block++) {
      const question = readQuestion(shared, recordsAt + block * WaitingLayout.HELD_SIZE, nowMs);
      if (question === undefined || question.ageMs >= maxAgeMs) continue;
      const other = asked.get(question.address);
      asked.set(question.address, other === undefined ? question : joined(other, question));
    }
  }
  return [...asked.values()];
}

function joined(a: Question, b: Question): Question {
  return {
    address: a.address,
    ageMs: Math.max(a.ageMs, b.ageMs),
    askers: [...new Set([...a.askers, ...b.askers])],
    isUrgent: a.isUrgent || b.isUrgent,
  };
}

/** What a packet that waits asks; undefined when none does, or when it changes at this moment. */
function readQuestion(shared: SharedMemory, at: number, nowMs: number): Question | undefined {
  const changes = Atomics.load(shared.i32, (at + WaitingLayout.HELD_CHANGES) >>> 2);
  if (Atomics.load(shared.i32, (at + WaitingLayout.HELD_STATE) >>> 2) !== WaitingLayout.HOLD_FIRST) return undefined;
  const address = formatAddress(shared.bytes, at + WaitingLayout.HELD_DESTINATION);
  const ageMs = (Math.trunc(nowMs % 2 ** 32) - (shared.u32[(at + WaitingLayout.HELD_SINCE_MS) >>> 2] ?? 0)) >>> 0;
  const owner = shared.u32[(at + WaitingLayout.HELD_OWNER) >>> 2] ?? 0;
  const isSettled = changes % 2 === 0 && Atomics.load(shared.i32, (at + WaitingLayout.HELD_CHANGES) >>> 2) === changes;
  if (!isSettled) return undefined;
  return {
    address,
    ageMs: ageMs >= 2 ** 32 - AHEAD_MS ? 0 : ageMs,
    askers: [owner & ~WaitingLayout.OWNER_URGENT],
    isUrgent: (owner & WaitingLayout.OWNER_URGENT) !== 0,
  };
}

/** Lets the workers give up packets to the address, and refuse it for a second. */
export function refuseAddress(shared: SharedMemory, address: string, nowMs: number): void {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new RangeError(`expected an address, found ${address}`);
  const count = shared.u32[(HeaderLayout.AT + HeaderLayout.REFUSAL_COUNT) >>> 2] ?? 0;
  const at = HeaderLayout.AT + HeaderLayout.REFUSALS + (count % RefusalLayout.MAX) * RefusalLayout.SIZE;
  shared.bytes.set(bytes, at + RefusalLayout.ADDRESS);
  shared.u32[(at + RefusalLayout.AT_MS) >>> 2] = Math.trunc(nowMs % 2 ** 32);
  Atomics.store(shared.i32, (HeaderLayout.AT + HeaderLayout.REFUSAL_COUNT) >>> 2, count + 1);
}
