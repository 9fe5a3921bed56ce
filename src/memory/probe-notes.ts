// Changes what an engine remembers of its probes, where no other clock than a replay's counts.

import { Region } from "../../assembly/shared/layout/header.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import type { SharedMemory } from "./shared-memory.ts";

/** The probe with this nonce was sent then, by the workers' clock. Nothing happens if it is not waited for any more. */
export function backdateProbe(shared: SharedMemory, nonce: bigint, sentUs: number): void {
  const { PROBE_NOTE_SIZE, PROBE_NOTE_NONCE, PROBE_NOTE_SENT_US, PROBES, PROBE_COUNT } = NodeMetricsLayout;
  const [low, high] = [Number(BigInt.asUintN(32, nonce)), Number(nonce >> 32n)];
  for (let node = 0; node < shared.records.nodes; node++) {
    const notesAt = shared.at(Region.nodeMetrics) + node * NodeMetricsLayout.SIZE + PROBES;
    for (let index = 0; index < PROBE_COUNT; index++) {
      const at = notesAt + index * PROBE_NOTE_SIZE;
      const word = (at + PROBE_NOTE_NONCE) >>> 2;
      if (shared.u32[word] !== low || shared.u32[word + 1] !== high) continue;
      shared.f64[(at + PROBE_NOTE_SENT_US) >>> 3] = sentUs;
      return;
    }
  }
}
