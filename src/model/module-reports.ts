// What the control socket answers about policies and the engine, as reports.ts.

import * as z from "zod";
import { count, list, report, reports, time } from "./report-schema.ts";

/** A WebAssembly module and where it came from. */
export const ModuleReport = report("ModuleReport", {
  sha256: z.string(),
  sizeBytes: count,
  source: z.string().describe("`built-in`, a file, or `control socket`"),
  loadedAt: time,
});
export type ModuleReport = z.infer<typeof ModuleReport>;

/** How the module in force was handed to the workers. */
export const SwapReport = report("SwapReport", {
  tookMs: z.number().describe("until all workers had it"),
  pauseMs: z.number().describe("how long a worker handled no packets for it, at most"),
});
export type SwapReport = z.infer<typeof SwapReport>;

export const FaultReport = report("FaultReport", { at: time, message: z.string() });
export type FaultReport = z.infer<typeof FaultReport>;

/** How often a policy failed to choose, by kind. */
export const PolicyFaultCounts = report("PolicyFaultCounts", {
  declined: count.describe("-1, although a candidate could take the flow"),
  outOfRange: count,
  traps: count,
  refusals: count.describe("it did not take the candidates"),
  unprepared: count.describe("not asked, because it had not taken the candidates"),
  overdue: count.describe("it did not return"),
  greedy: count.describe("it took most of what was too much of a worker's time"),
});
export type PolicyFaultCounts = z.infer<typeof PolicyFaultCounts>;

const policyFields = {
  name: z.string(),
  state: z.enum(["in force", "faulty", "no module"]),
  module: ModuleReport.nullable(),
  previous: ModuleReport.nullable().describe("what a rollback leads to"),
  addresses: count.describe("bound to it"),
  choices: count.describe("since the module is in force, over all workers"),
  choiceUs: z.number().nullable().describe("mean of those that were timed; null = none was"),
  faults: PolicyFaultCounts,
  lastError: FaultReport.nullable(),
};
export const PolicyReport = report("PolicyReport", policyFields);
export type PolicyReport = z.infer<typeof PolicyReport>;
export const PolicyReports = reports("PolicyReports", PolicyReport);

/** Live flows of this node's clients to one address, by instance. */
export const AddressShareReport = report("AddressShareReport", {
  service: z.string(),
  address: z.string(),
  flows: count,
  instances: list(z.object({ number: count, node: z.string(), flows: count }).readonly()),
});
export type AddressShareReport = z.infer<typeof AddressShareReport>;

export const PolicyDetailReport = report("PolicyDetailReport", {
  ...policyFields,
  swap: SwapReport.nullable().describe("null = it was there from the start"),
  file: z.string().nullable().describe("under `policies`: a change of it takes the place of what a command loaded"),
  shares: list(AddressShareReport),
});
export type PolicyDetailReport = z.infer<typeof PolicyDetailReport>;

export const AddressSpreadReport = report("AddressSpreadReport", {
  service: z.string(),
  address: z.string(),
  instances: list(
    z.object({ number: count, node: z.string(), now: count.nullable(), after: count }).readonly(),
  ).describe("`now` is null as long as the policy has no module"),
  none: z.object({ now: count.nullable(), after: count }).readonly().describe("left to the engine"),
});
export type AddressSpreadReport = z.infer<typeof AddressSpreadReport>;

/** The next flows as they would be spread now and with the module that is tried. */
export const DryRunReport = report("DryRunReport", {
  policy: z.string(),
  sha256: z.string(),
  flows: count.describe("per address"),
  addresses: list(AddressSpreadReport),
});
export type DryRunReport = z.infer<typeof DryRunReport>;

export const EngineReport = report("EngineReport", {
  layoutVersion: count,
  module: ModuleReport,
  previous: ModuleReport.nullable(),
  swap: SwapReport.nullable(),
  lastError: FaultReport.nullable(),
});
export type EngineReport = z.infer<typeof EngineReport>;
