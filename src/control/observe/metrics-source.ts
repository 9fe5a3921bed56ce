// What the metrics are made of.

import type { EngineReport, PolicyReport } from "../../model/module-reports.ts";
import type { CountersReport, InstanceReport, NodeReport, StatusReport } from "../../model/reports.ts";
import type { PolicyTimes } from "../modules/module-reporter.ts";

export interface MetricsSource {
  status(): StatusReport;
  instances(): readonly InstanceReport[];
  nodes(): readonly NodeReport[];
  counters(): CountersReport;
  /** Batches by their size (BATCH_BOUNDS). */
  batches(): Readonly<Record<"tun" | "udp", readonly number[]>>;
  policies(): readonly PolicyReport[];
  engine(): EngineReport;
  /** The part of the last probes to a node that was not answered; null = not known. */
  probeLoss(node: string): number | null;
  policyTimes(): readonly PolicyTimes[];
  /** Processor time of each worker's thread; undefined while there is none. */
  workerCpuMs(): readonly (number | undefined)[];
  reloads(): { readonly applied: number; readonly refused: number };
}
