// What the live page is made of: the reports of a proxy, its tables and its flows.

import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { EventReport, InstanceReport } from "../../model/reports.ts";
import type { MetricsSource } from "../observe/metrics-source.ts";
import type { TableStore } from "../tables/table-store.ts";

export interface PageSource
  extends Pick<MetricsSource, "status" | "nodes" | "counters" | "policies" | "engine" | "probeLoss" | "workerCpuMs"> {
  events(): readonly EventReport[];
  healthOf(service: string, instance: number): Pick<InstanceReport, "health" | "healthReason">;
  readonly shared: SharedMemory;
  readonly store: Pick<TableStore, "snapshot" | "instanceIndices">;
  /** Milliseconds of the workers' clock. */
  readonly nowMs: () => number;
  /** Milliseconds of the epoch. */
  readonly epochMs: () => number;
}
