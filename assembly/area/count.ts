// This worker's counters. Plain adds: a worker writes only its own.

import * as WorkerLayout from "../shared/layout/worker.ts";
import { workerAt } from "./regions.ts";

export function count(counter: u32, amount: u64): void {
  add(workerAt + WorkerLayout.COUNTERS + (counter << 3), amount);
}

/** Packets and their bytes, which the next counter is for: of Counter.egressPackets, ingressPackets or localPackets. */
export function countPackets(counter: u32, packets: u64, bytes: u64): void {
  count(counter, packets);
  count(counter + 1, bytes);
}

export function countEgressDrop(reason: u32, packets: u64): void {
  add(workerAt + WorkerLayout.EGRESS_DROPS + (reason << 3), packets);
}

export function countIngressDrop(reason: u32, packets: u64): void {
  add(workerAt + WorkerLayout.INGRESS_DROPS + (reason << 3), packets);
}

function add(at: usize, amount: u64): void {
  store<u64>(at, load<u64>(at) + amount);
}
