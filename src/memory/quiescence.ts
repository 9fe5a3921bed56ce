// When may control reuse what an older generation still showed? When every worker has left the call of the engine in
// which it was at that moment (WorkerLayout.SEQUENCE is odd inside a call).
// When a worker is ended in the middle of a call, its sequence is made even, since the worker never leaves that call.

import { setTimeout as sleep } from "node:timers/promises";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import type { SharedMemory } from "./shared-memory.ts";

const POLL_INTERVAL_MS = 1;

/** Resolves when no worker is left in a call that it had begun before. Later calls see all stores made until now. */
export async function quiescence(shared: SharedMemory): Promise<void> {
  let inside: { at: number; sequence: number }[] = [];
  for (let worker = 0; worker < shared.capacities.workers; worker++) {
    const at = sequenceAt(shared, worker);
    const sequence = Atomics.load(shared.i32, at);
    if ((sequence & 1) === 1) inside.push({ at, sequence });
  }
  while (inside.length > 0) {
    await sleep(POLL_INTERVAL_MS);
    inside = inside.filter(({ at, sequence }) => Atomics.load(shared.i32, at) === sequence);
  }
}

/** By worker: calls of the engine that it began or ended, modulo 2^32. */
export function callSteps(shared: SharedMemory): number[] {
  return Array.from({ length: shared.capacities.workers }, (_, worker) =>
    Atomics.load(shared.i32, sequenceAt(shared, worker)),
  );
}

function sequenceAt(shared: SharedMemory, worker: number): number {
  return (shared.at(Region.workers) + worker * WorkerLayout.SIZE + WorkerLayout.SEQUENCE) >>> 2;
}
