// Questions of the workers to the control plane: which service addresses they have packets for and no entry. And the
// refusals that go back; an address that is known answers by standing in the tables.

import {
  HEADER_AT,
  HEADER_REFUSAL_COUNT,
  HEADER_REFUSALS,
  QUESTION_ADDRESS,
  QUESTION_AT_MS,
  QUESTION_MAX,
  QUESTION_SIZE,
  REFUSAL_ADDRESS,
  REFUSAL_AT_MS,
  REFUSAL_MAX,
  REFUSAL_SIZE,
  Region,
  WORKER_QUESTION_COUNT,
  WORKER_QUESTIONS,
  WORKER_SIZE,
} from "../../assembly/shared/layout.ts";
import { formatAddress, parseAddress } from "../net/address.ts";
import type { SharedMemory } from "./shared-memory.ts";

export interface Question {
  readonly address: string;
  readonly ageMs: number;
}

/** What the workers asked in the last `maxAgeMs`, as far as their rings go back; one address may occur several times. */
export function readQuestions(shared: SharedMemory, nowMs: number, maxAgeMs: number): Question[] {
  const questions: Question[] = [];
  for (let worker = 0; worker < shared.capacities.workers; worker++) {
    const areaAt = shared.at(Region.workers) + worker * WORKER_SIZE;
    const count = Atomics.load(shared.i32, (areaAt + WORKER_QUESTION_COUNT) >>> 2) >>> 0;
    for (let i = Math.max(0, count - QUESTION_MAX); i < count; i++) {
      const at = areaAt + WORKER_QUESTIONS + (i % QUESTION_MAX) * QUESTION_SIZE;
      const ageMs = Math.max(0, (Math.trunc(nowMs % 2 ** 32) - (shared.u32[(at + QUESTION_AT_MS) >>> 2] ?? 0)) | 0);
      if (ageMs < maxAgeMs) questions.push({ address: formatAddress(shared.bytes, at + QUESTION_ADDRESS), ageMs });
    }
  }
  return questions;
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
