// This worker's counters. Plain adds: a worker writes only its own.

import { WORKER_COUNTERS, WORKER_EGRESS_DROPS, WORKER_INGRESS_DROPS } from "../shared/layout.ts";
import { workerAt } from "./regions.ts";

export function count(counter: u32, amount: u64): void {
  add(workerAt + WORKER_COUNTERS + (counter << 3), amount);
}

export function countEgressDrop(reason: u32, packets: u64): void {
  add(workerAt + WORKER_EGRESS_DROPS + (reason << 3), packets);
}

export function countIngressDrop(reason: u32, packets: u64): void {
  add(workerAt + WORKER_INGRESS_DROPS + (reason << 3), packets);
}

function add(at: usize, amount: u64): void {
  store<u64>(at, load<u64>(at) + amount);
}
