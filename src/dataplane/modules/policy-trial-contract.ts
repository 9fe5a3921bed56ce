// What a trial of a policy module is told, and what it finds.

import type { PolicyCandidate } from "./candidate-record.ts";

/** Candidates of one service address. */
export interface CandidateSet {
  readonly name: string;
  readonly candidates: readonly PolicyCandidate[];
}

/** Of processor time, for all sets together. */
export const TRIAL_LIMIT_MS = 10_000;
/** A worker handles no packet while a policy chooses. */
export const CHOICE_MEAN_MAX_US = 100;

export interface TrialPlan {
  readonly name: string; // of the policy, for sentences
  readonly sets: readonly CandidateSet[];
  readonly flows: number; // to be chosen for, per set
  readonly timeLimitMs: number; // for each call
  readonly memoryBytes?: number; // that the module may have; some 16 MiB unless given
  readonly trialLimitMs?: number; // for all sets together; TRIAL_LIMIT_MS unless given
  /** Whether the bare choice is timed as well, which takes a while; unless given it is. */
  readonly isTimed?: boolean;
  /** Whether the first set is chosen from very often, to see whether memory grows; unless given it is. */
  readonly isEndured?: boolean;
}

export interface SetOutcome {
  readonly set: string;
  readonly flows: number; // fewer than planned when it took too long
  readonly chosen: readonly number[]; // flows by candidate
  readonly unanswered: number; // flows for which no candidate was chosen
  /** Median; undefined if the module could not choose often enough. */
  readonly nsPerChoice: number | undefined;
  readonly slowestMs: number;
}

export const VIOLATIONS = [
  "refused", // it does not look as a policy must, or does not take the candidates
  "trap",
  "timeout", // a call did not return
  "slow", // a call returned later than it may, or all of them take too long
  "costly", // choices take more than CHOICE_MEAN_MAX_US in the mean
  "out-of-range", // an answer that is no index of a candidate
  "none", // -1, though there are candidates that take new flows
  "draining", // chose one that drains
  "unhealthy", // chose one that is ill
  "memory", // goes on taking memory
] as const;
/** What costs a service its policy or its balance, but neither the worker nor the process: an order may accept it. */
export const FORCEABLE: readonly ViolationKind[] = ["costly", "none", "draining", "unhealthy", "memory"];
export type ViolationKind = (typeof VIOLATIONS)[number];

export interface Violation {
  readonly kind: ViolationKind;
  readonly set: string | undefined; // in which it happened; undefined: before any
  readonly count: number;
  readonly example: string; // what happened first
}

export interface TrialReport {
  readonly outcomes: readonly SetOutcome[];
  readonly memoryBytes: number; // at the end, 0 if it could not be started
  readonly violations: readonly Violation[];
}

/** From the thread that runs the module. */
export type TrialMessage =
  | { readonly type: "set"; readonly outcome: SetOutcome; readonly violations: readonly Violation[] }
  | { readonly type: "done"; readonly memoryBytes: number; readonly violations: readonly Violation[] };

export interface TrialOptions {
  readonly plan: TrialPlan;
  readonly module: WebAssembly.Module;
  readonly progress: SharedArrayBuffer;
}

/** Calls of the module; the key is the name in sentences. */
export enum TrialCall {
  start, // the module's instantiation, abiVersion and liveFlows
  reserve,
  update,
  choose,
}

/** Words of `progress`. */
export const PROGRESS_SEQUENCE = 0; // odd inside a call
export const PROGRESS_CALL = 1; // TrialCall
export const PROGRESS_SET = 2; // index of the set
export const PROGRESS_BYTES = 12;
