// What happened to each packet of a call, noted for the host as long as it captures packets (WorkerLayout.NOTING). What is
// counted while a packet is handled says what happened to it.

import { VerdictNote } from "../record/verdict-note.ts";
import { WorkerArea } from "../record/worker.ts";
import { Counter } from "../shared/counters.ts";
import * as VerdictNoteLayout from "../shared/layout/verdict-note.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import { DropReason, Verdict } from "../shared/verdicts.ts";
import { workerAt } from "./regions.ts";

/** Whether this call notes. */
export let isNoting: bool = false;

// Before the packet in hand
let sentBefore: u64 = 0;
let deliveredBefore: u64 = 0;
let keptBefore: u64 = 0;

/** To be called at the start of a call. */
export function clearNotes(): void {
  isNoting = WorkerArea.at(workerAt).noting != 0;
  WorkerArea.at(workerAt).noteCount = 0;
}

/** To be called before a packet is handled. */
export function startNote(): void {
  sentBefore = sent();
  deliveredBefore = delivered();
  keptBefore = kept();
}

/** Notes the packet that was received at `at`. `flow` is its flow record, 0 = it is not known here. */
export function note(at: usize, length: u32, reason: u32, flow: u32): void {
  const index = WorkerArea.at(workerAt).noteCount;
  WorkerArea.at(workerAt).noteCount = index + 1;
  if (index >= <u32>VerdictNoteLayout.MAX) return;
  const record = changetype<VerdictNote>(workerAt + WorkerLayout.NOTES + <usize>index * VerdictNoteLayout.SIZE);
  record.at = <u32>at;
  record.length = length;
  record.verdict = verdict(reason) | (reason << VerdictNoteLayout.REASON_SHIFT);
  record.flow = flow;
}

function verdict(reason: u32): u32 {
  if (reason != DropReason.none) return Verdict.dropped;
  if (sent() != sentBefore) return Verdict.sent;
  if (delivered() != deliveredBefore) return Verdict.delivered;
  return kept() != keptBefore ? Verdict.waits : Verdict.taken;
}

function sent(): u64 {
  return WorkerArea.at(workerAt).counted(Counter.egressPackets);
}

function delivered(): u64 {
  return (
    WorkerArea.at(workerAt).counted(Counter.ingressPackets) + WorkerArea.at(workerAt).counted(Counter.localPackets)
  );
}

function kept(): u64 {
  return (
    WorkerArea.at(workerAt).counted(Counter.packetsParked) + WorkerArea.at(workerAt).counted(Counter.fragmentsHeld)
  );
}
