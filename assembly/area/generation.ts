// One call of the engine sees one generation of the tables. The sequence word tells the control plane when no worker
// is left in an older one, so that it may reuse what the older one still showed.

import * as Header from "../record/header.ts";
import { WorkerArea } from "../record/worker.ts";
import { workerAt } from "./regions.ts";

const REPAIR_SLEEP_NS: i64 = 10_000_000;

/** The generation of the call in progress. */
export let generation: u32 = 0;
/** Another value whenever the generation or the health of a node changed: what flows were last confirmed against. */
export let confirmation: u32 = 0;

/** Enters a call. The sequence is odd before the generation is read: control sees one or the other. */
export function enter(): void {
  WorkerArea.at(workerAt).sequence.add(1);
  while (Header.repair.load() != 0) standAside();
  generation = Header.generation.load();
  confirmation = generation + Header.healthEpoch.load(); // both only grow, so none comes twice
  WorkerArea.at(workerAt).generation = generation;
}

/** Stays outside until the flow table is repaired: a worker died in a call (src/memory/flow-repair.ts). */
function standAside(): void {
  WorkerArea.at(workerAt).sequence.add(1);
  while (true) {
    const repair = Header.repair.load();
    if (repair == 0) break;
    Header.repair.wait(repair, REPAIR_SLEEP_NS);
  }
  WorkerArea.at(workerAt).sequence.add(1);
}

export function leave(): void {
  WorkerArea.at(workerAt).sequence.add(1);
}

/** Which of the two places of a versioned value is in force: 0 or 1 (shared/layout/header.ts). */
export function placeInForce(word: u32): u32 {
  const newer = word & 1;
  return generation >= word >>> 1 ? newer : newer ^ 1;
}
