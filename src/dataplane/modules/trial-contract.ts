// What a trial process is asked, and what it answers.

import type { TrialPlan, TrialReport } from "./policy-trial-contract.ts";

type TrialRequest =
  /** Not yet compiled, but within the limits (module-limits.ts). */
  | { readonly kind: "policy"; readonly bytes: Uint8Array; readonly plan: TrialPlan }
  | { readonly kind: "engine"; readonly bytes: Uint8Array; readonly inForce: Uint8Array; readonly isForced: boolean };

export type NamedRequest = TrialRequest & {
  /** "The policy module x", for sentences. */
  readonly what: string;
  /** Of processor time that the process may use for it; the kernel ends it then. */
  readonly cpuSeconds: number;
  /** What the module itself may have as memory. */
  readonly memoryBytes: number;
};

export type TrialAnswer =
  | { readonly kind: "report"; readonly report: TrialReport }
  | { readonly kind: "passed" }
  | { readonly kind: "refused"; readonly message: string }
  /** The process did not survive. */
  | { readonly kind: "died"; readonly message: string }
  /** Something that is no fault of the module. */
  | { readonly kind: "failed"; readonly message: string };
