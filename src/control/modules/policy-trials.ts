// Tries modules of policies before they are in force, on the candidates of the tables and on examples. A module that
// was taken out of force again and again is refused without a trial.

import { SapwoodError } from "../../base/errors.ts";
import { shortText } from "../../base/issues.ts";
import { WASM_PAGE_BYTES } from "../../base/wasm-page.ts";
import { tryPolicy } from "../../dataplane/modules/module-trial.ts";
import { policyShape } from "../../dataplane/modules/policy-module.ts";
import type { CandidateSet, TrialReport } from "../../dataplane/modules/policy-trial-contract.ts";
import { checkBytes, compileBytes } from "../../dataplane/modules/wasm.ts";
import { isPolicyName, POLICY_NAME_RULE } from "../../model/policy-names.ts";
import { type LoadedModule, type LoadOptions, sha256Of } from "../state/loaded-module.ts";
import type { AddressCandidates } from "../tables/address-candidates.ts";
import { EXAMPLE_SETS } from "./candidate-sets.ts";
import { type DryRun, requireSound, spreadOf } from "./policy-judgement.ts";

export interface PolicyTrialsOptions {
  /** How long a call of a module may take. */
  readonly callTimeMs: number;
  readonly memoryPagesMax: number;
  /** Of the service addresses with this policy; of all without a name. */
  readonly candidates: (policy: string | undefined) => readonly AddressCandidates[];
  readonly clock: () => Date;
}

const BAN_AFTER = 3;
const BAN_WITHIN_MS = 60_000;
export const DRY_RUN_FLOWS = 10_000;
const TRIAL_FLOWS = 200; // per address

export class PolicyTrials {
  readonly #options: PolicyTrialsOptions;
  readonly #outMs = new Map<string, number[]>(); // when a module was taken out of force, by its hash

  constructor(options: PolicyTrialsOptions) {
    this.#options = options;
  }

  /** Throws module-refused, or usage for what is no name. */
  async admit(
    name: string,
    bytes: Uint8Array,
    { source, isRemembered, isForced = false }: LoadOptions,
    isRestored = false,
  ): Promise<LoadedModule> {
    if (!isPolicyName(name)) {
      throw new SapwoodError("usage", `A policy must have ${POLICY_NAME_RULE}; found "${shortText(name)}".`);
    }
    const sha256 = sha256Of(bytes);
    const shape = policyShape(this.#options.memoryPagesMax);
    checkBytes(bytes, shape, name);
    this.#refuseBanned(name, sha256);
    const sets = [...EXAMPLE_SETS, ...this.#options.candidates(undefined).map(({ set }) => set)];
    requireSound(name, await this.#trial(name, bytes, sets, TRIAL_FLOWS, !isRestored), isForced);
    const module = await compileBytes(bytes, shape, name); // not before: compiling it may take more than it may
    return { module, bytes, sha256, source, loadedAt: this.#options.clock(), isRemembered };
  }

  /** How the next flows of each address would be spread, now and with the module that was tried. */
  async compare(name: string, tried: LoadedModule, current: LoadedModule | undefined): Promise<DryRun> {
    const bound = this.#options.candidates(name);
    const sets = bound.map(({ set }) => set);
    const after = await this.#trial(name, tried.bytes, sets, DRY_RUN_FLOWS);
    const now = current && (await this.#trial(name, current.bytes, sets, DRY_RUN_FLOWS));
    return {
      sha256: tried.sha256,
      spreads: bound.flatMap((one, i) => {
        const [outcomeAfter, outcomeNow] = [after.outcomes[i], now?.outcomes[i]];
        if (outcomeAfter === undefined) return []; // all of them together took too long
        return [{ ...one, now: outcomeNow && spreadOf(one.set, outcomeNow), after: spreadOf(one.set, outcomeAfter) }];
      }),
    };
  }

  /** The module with this hash had to be taken out of force. */
  noteTakenOut(sha256: string): void {
    const nowMs = this.#options.clock().getTime();
    const recent = (this.#outMs.get(sha256) ?? []).filter((atMs) => nowMs - atMs < BAN_WITHIN_MS);
    this.#outMs.set(sha256, [...recent, nowMs]);
  }

  #trial(
    name: string,
    bytes: Uint8Array,
    sets: readonly CandidateSet[],
    flows: number,
    isEndured = false,
  ): Promise<TrialReport> {
    const { callTimeMs: timeLimitMs, memoryPagesMax } = this.#options;
    const memoryBytes = memoryPagesMax * WASM_PAGE_BYTES;
    return tryPolicy(bytes, { name, sets, flows, timeLimitMs, memoryBytes, isTimed: false, isEndured });
  }

  #refuseBanned(name: string, sha256: string): void {
    const times = this.#outMs.get(sha256)?.length ?? 0;
    if (times < BAN_AFTER) return;
    throw new SapwoodError(
      "module-refused",
      `The policy module ${name} (${sha256.slice(0, 12)}) is banned until the proxy ends: ` +
        `it was taken out of force ${times} times within a minute.`,
    );
  }
}
