// What the thread of a replay is told, and what it answers.

import type { ErrorCode } from "../../base/errors.ts";
import type { PolicyModule } from "../../dataplane/worker/worker-contract.ts";
import type { MemoryOptions } from "../../memory/shared-memory.ts";
import type { ReplayReport } from "../../model/replay-report.ts";
import type { Location, Tables } from "../../model/tables.ts";
import type { Prefix } from "../../net/address.ts";

/** The modules of one side. */
export interface ReplaySide {
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
}

/** A node as its configuration has it. */
export interface ReplayedNodePlan {
  readonly nodeId: string;
  readonly memory: MemoryOptions;
  readonly tunMtu: number;
  readonly ranges: readonly Prefix[];
  readonly location: Location | undefined;
  readonly isEncrypted: boolean;
  readonly tables: Tables;
  /** By name, for all that the tables name. */
  readonly policySlots: Readonly<Record<string, number>>;
}

export interface ReplayPlan {
  readonly file: string;
  readonly node: ReplayedNodePlan;
  /** One, or two that are compared. */
  readonly sides: readonly ReplaySide[];
}

export interface ReplayThreadOptions extends ReplayPlan {
  readonly progress: SharedArrayBuffer;
}

/** Words of `progress`. */
export const PROGRESS_SEQUENCE = 0; // odd while modules run
export const PROGRESS_PACKET = 1; // its number in the file; 0 = they are being started
export const PROGRESS_BYTES = 8;

/** All but where the modules are from. */
export type ReplayFindings = Omit<ReplayReport, "sides"> & {
  readonly sides: readonly Pick<ReplayReport["sides"][number], "verdicts" | "choices">[];
};

export type ReplayMessage =
  | { readonly kind: "done"; readonly findings: ReplayFindings }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };
