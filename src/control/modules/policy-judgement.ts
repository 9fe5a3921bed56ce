// What the outcome of a trial means for an order: whether the module may be in force, and how it would spread flows.

import { SapwoodError } from "../../base/errors.ts";
import {
  type CandidateSet,
  FORCEABLE,
  type SetOutcome,
  type TrialReport,
} from "../../dataplane/modules/policy-trial-contract.ts";
import type { AddressCandidates } from "../tables/address-candidates.ts";

/** How the flows of a trial were spread. */
interface Spread {
  readonly flows: readonly number[]; // by candidate
  readonly none: number; // left to the engine
}

/** How an address's new flows would be spread, by the module in force and by the one that is tried. */
export interface AddressSpread extends AddressCandidates {
  readonly now: Spread | undefined; // undefined: no module is in force
  readonly after: Spread;
}

export interface DryRun {
  readonly sha256: string; // of the module that was tried
  readonly spreads: readonly AddressSpread[];
}

/** What `policy test` finds fault with is refused; an order may accept some of it. Throws module-refused. */
export function requireSound(name: string, { violations }: TrialReport, isForced: boolean): void {
  const violation = violations.find(({ kind }) => !FORCEABLE.includes(kind)) ?? (isForced ? undefined : violations[0]);
  if (violation === undefined) return;
  const { kind, set, example } = violation;
  const sentence =
    set === undefined && example.startsWith("The policy module")
      ? example
      : `The policy module ${name} failed when it was tried${set === undefined ? "" : ` on ${set}`}: ${example}.`;
  const hint = FORCEABLE.includes(kind) ? " It can be loaded with --force." : "";
  throw new SapwoodError("module-refused", sentence + hint);
}

/** What a draining candidate is chosen for the engine gives to another one. */
export function spreadOf({ candidates }: CandidateSet, { chosen, unanswered }: SetOutcome): Spread {
  const isKept = (index: number): boolean => candidates[index]?.isDraining !== true;
  const given = chosen.reduce((sum, flows, index) => sum + (isKept(index) ? 0 : flows), unanswered);
  return { flows: chosen.map((flows, index) => (isKept(index) ? flows : 0)), none: given };
}
