// Which policies there are: each name has a slot, by which the tables and the workers know it, and the module that is
// in force there. A slot is never given to another name, because a service record may still carry it.
// Promises: a module is in force in all workers or in none; one that does not return is replaced by the one before;
// changes take turns.

import { POLICY_SLOT_MAX } from "../../assembly/shared/policies.ts";
import { tryPolicy } from "../dataplane/module-trial.ts";
import { policyShape } from "../dataplane/policy-module.ts";
import type { CandidateSet, SetOutcome, TrialReport, ViolationKind } from "../dataplane/policy-trial-contract.ts";
import { type HandOver, type Overdue, POLICY_SHARE_MAX, type Supervisor } from "../dataplane/supervisor.ts";
import { checkBytes, compileBytes } from "../dataplane/wasm.ts";
import type { PolicyModule } from "../dataplane/worker-contract.ts";
import { SapwoodError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { AddressCandidates } from "./address-candidates.ts";
import { EXAMPLE_SETS } from "./candidate-sets.ts";
import { type BuiltPolicy, type LoadedModule, ModulePlace, sha256Of } from "./loaded-module.ts";
import { POLICY_NAME, POLICY_NAME_RULE, policyName } from "./policy-names.ts";
import { Turns } from "./turns.ts";

export interface PolicyRegistryOptions {
  readonly builtIn: readonly BuiltPolicy[];
  /** How long a call of a module may take. */
  readonly callTimeMs: number;
  readonly memoryPagesMax: number;
  /** Of the service addresses with this policy; of all without a name. */
  readonly candidates: (policy: string | undefined) => readonly AddressCandidates[];
  readonly clock: () => Date;
  readonly log: Logger;
  /** Hears of each change. */
  readonly onChange: () => void;
}

/** What the workers said of the policy last. */
export interface PolicyFault {
  readonly at: Date;
  readonly message: string;
}

/** A policy as it is; `swap` tells how the module in force was handed over. */
export interface PolicyState {
  readonly name: string;
  readonly slot: number;
  readonly current: LoadedModule | undefined;
  readonly previous: LoadedModule | undefined;
  readonly swap: HandOver | undefined;
  /** Times that a module was taken out of force because it did not return, or took too much of a worker's time. */
  readonly overdue: number;
  readonly greedy: number;
  readonly fault: PolicyFault | undefined;
}

/** How the flows of a trial were spread. */
export interface Spread {
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

interface Entry {
  readonly name: string;
  readonly slot: number;
  readonly place: ModulePlace;
  swap: HandOver | undefined;
  overdue: number;
  greedy: number;
  fault: PolicyFault | undefined;
}

type Handing = Pick<Supervisor, "handPolicy">;

/** A policy of the package is slow only where the whole machine is, so it may take so many times the limit. */
const BUILT_IN_PATIENCE = 10;
const BAN_AFTER = 3;
const BAN_WITHIN_MS = 60_000;
export const DRY_RUN_FLOWS = 10_000;
const TRIAL_FLOWS = 200; // per address
/** What a module must not do when it is tried; other faults cost a flow its policy, and are counted. */
const REFUSED: readonly ViolationKind[] = ["refused", "trap", "timeout", "out-of-range"];

export class PolicyRegistry {
  readonly #options: PolicyRegistryOptions;
  readonly #entries = new Map<string, Entry>(); // in the order of their slots
  readonly #outMs = new Map<string, number[]>(); // when a module was taken out of force, by its hash
  readonly #turns = new Turns();
  #workers: Handing | undefined;

  constructor(options: PolicyRegistryOptions) {
    this.#options = options;
    for (const { name, loaded } of options.builtIn) this.#add(name, loaded);
  }

  /** Names that service addresses may be bound to. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** Makes a name known; until a module is loaded for it the engine chooses by itself. */
  claim(name: string): void {
    if (!this.#entries.has(name)) this.#add(name, undefined);
  }

  /** Throws tables-invalid when nobody claimed the name. */
  slot(name: string): number {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry.slot;
    throw new SapwoodError("tables-invalid", `A policy must be one of ${this.names.join(", ")}; found "${name}".`);
  }

  /** What a worker has to start with. */
  modules(): PolicyModule[] {
    return [...this.#entries.values()].flatMap(({ slot, name, place: { current } }) =>
      current === undefined ? [] : [{ slot, name, module: current.module }],
    );
  }

  /** From now on changes are handed to these workers, which were `given` what modules() was then. */
  async connect(workers: Handing, given: readonly PolicyModule[]): Promise<void> {
    this.#workers = workers;
    const modules = new Map(given.map(({ slot, module }) => [slot, module]));
    for (const entry of this.#entries.values()) {
      if (entry.place.current?.module !== modules.get(entry.slot)) await this.#hand(entry);
    }
  }

  states(): PolicyState[] {
    return [...this.#entries.values()].map(stateOf);
  }

  /** Throws not-found. */
  state(name: string): PolicyState {
    return stateOf(this.#known(policyName(name)));
  }

  /** Tries a module and puts it in force under a name that may be new. Throws module-refused, and all stays. */
  load(nameOrAlias: string, bytes: Uint8Array, source: string, isRemembered: boolean): Promise<PolicyState> {
    const name = policyName(nameOrAlias);
    return this.#turns.take(async () => {
      const loaded = await this.#tried(name, bytes, source, isRemembered);
      this.claim(name);
      const entry = this.#known(name);
      await this.#putInForce(entry, loaded);
      this.#options.log.info({ policy: name, source, sha256: loaded.sha256, ...entry.swap }, "policy loaded");
      return stateOf(entry);
    });
  }

  /** Tries a module without putting it in force. Throws module-refused. */
  dryRun(nameOrAlias: string, bytes: Uint8Array): Promise<DryRun> {
    const name = policyName(nameOrAlias);
    return this.#turns.take(async () => {
      const tried = await this.#tried(name, bytes, "dry run", false);
      const current = this.#entries.get(name)?.place.current;
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
    });
  }

  /** Puts the module before in force again. Throws not-found, or module-refused when there is none. */
  rollback(nameOrAlias: string): Promise<PolicyState> {
    const name = policyName(nameOrAlias);
    return this.#turns.take(async () => {
      const entry = this.#known(name);
      const { previous } = entry.place;
      if (previous === undefined) {
        throw new SapwoodError("module-refused", `The policy ${name} has no module to go back to.`);
      }
      entry.place.drop();
      forget(entry);
      await this.#hand(entry);
      this.#options.onChange();
      this.#options.log.info({ policy: name, sha256: previous.sha256, ...entry.swap }, "policy rolled back");
      return stateOf(entry);
    });
  }

  /**
   * A call of the policy in a slot did not return. Whether the worker is to be ended. One that comes with the package
   * stays in force: it has more time, and a fresh worker may do better.
   */
  onOverdue(slot: number, times: Overdue["times"]): boolean {
    const entry = this.#ofSlot(slot);
    if (entry === undefined) return true; // its name is gone, and the worker still in its call
    const { current, builtIn } = entry.place;
    const limitMs = this.#options.callTimeMs;
    if (current !== undefined && current !== builtIn) {
      entry.overdue += 1;
      this.#takeOut(entry, current, `did not return within ${limitMs} ms`);
      return true;
    }
    if (times < BUILT_IN_PATIENCE) return false;
    entry.overdue += 1;
    entry.fault = { at: this.#options.clock(), message: `did not return within ${limitMs * times} ms` };
    this.#options.log.error({ policy: entry.name }, `the policy ${entry.name} ${entry.fault.message}`);
    return true;
  }

  /** The policy in a slot took too much of a worker's time. One that comes with the package is as good as any. */
  onGreedy(slot: number): void {
    const entry = this.#ofSlot(slot);
    const current = entry?.place.current;
    if (entry === undefined || current === undefined || current === entry.place.builtIn) return;
    entry.greedy += 1;
    this.#takeOut(entry, current, `took more than ${100 * POLICY_SHARE_MAX} % of a worker's time over a second`);
  }

  #takeOut(entry: Entry, culprit: LoadedModule, what: string): void {
    const { clock, log } = this.#options;
    const nowMs = clock().getTime();
    const recent = (this.#outMs.get(culprit.sha256) ?? []).filter((atMs) => nowMs - atMs < BAN_WITHIN_MS);
    this.#outMs.set(culprit.sha256, [...recent, nowMs]);
    entry.place.drop();
    entry.fault = { at: clock(), message: `${what}, and was taken out of force` };
    const { current } = entry.place;
    this.#options.onChange();
    log.error(
      { policy: entry.name, sha256: culprit.sha256, inForce: current?.sha256 ?? null },
      `the policy ${entry.name} ${what}; ` +
        `${current === undefined ? "the engine chooses by itself" : "the module before it is in force again"}`,
    );
    this.#hand(entry).catch((error: unknown) => log.error({ err: error, policy: entry.name }, "could not replace it"));
  }

  onFault(slot: number, message: string): void {
    const entry = this.#ofSlot(slot);
    if (entry !== undefined) entry.fault = { at: this.#options.clock(), message };
  }

  /** A name whose module was refused at the start keeps its place, with the reason. */
  noteRefusal(name: string, message: string): void {
    this.claim(name);
    this.#known(name).fault = { at: this.#options.clock(), message };
  }

  async #tried(name: string, bytes: Uint8Array, source: string, isRemembered: boolean): Promise<LoadedModule> {
    if (!POLICY_NAME.test(name)) {
      throw new SapwoodError("usage", `A policy must have ${POLICY_NAME_RULE}; found "${name}".`);
    }
    const sha256 = sha256Of(bytes);
    const shape = policyShape(this.#options.memoryPagesMax);
    checkBytes(bytes, shape, name);
    this.#refuseBanned(name, sha256);
    const sets = this.#options.candidates(undefined).map(({ set }) => set);
    const report = await this.#trial(name, bytes, sets.length > 0 ? sets : EXAMPLE_SETS, TRIAL_FLOWS);
    requireSound(name, report);
    const module = await compileBytes(bytes, shape, name); // not before: compiling it may take more than it may
    return { module, bytes, sha256, source, loadedAt: this.#options.clock(), isRemembered };
  }

  #trial(name: string, bytes: Uint8Array, sets: readonly CandidateSet[], flows: number): Promise<TrialReport> {
    return tryPolicy(bytes, { name, sets, flows, timeLimitMs: this.#options.callTimeMs, isTimed: false });
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

  async #putInForce(entry: Entry, loaded: LoadedModule): Promise<void> {
    entry.place.put(loaded); // before it runs: should it not return, it is the one to be dropped
    forget(entry);
    try {
      await this.#hand(entry);
    } catch (error) {
      if (entry.place.current === loaded) entry.place.drop();
      throw error;
    }
    this.#options.onChange();
    if (entry.place.current === loaded) return;
    throw new SapwoodError("module-refused", `The policy module ${entry.name} ${entry.fault?.message}.`);
  }

  /** Gives the workers what is in force now. */
  async #hand(entry: Entry): Promise<void> {
    const { name, slot, place } = entry;
    entry.swap = await this.#workers?.handPolicy({ slot, name, module: place.current?.module });
  }

  #known(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new SapwoodError("not-found", `There is no policy ${name}; there are ${this.names.join(", ")}.`);
  }

  #ofSlot(slot: number): Entry | undefined {
    return [...this.#entries.values()][slot];
  }

  #add(name: string, builtIn: LoadedModule | undefined): void {
    const slot = this.#entries.size;
    if (slot === POLICY_SLOT_MAX) {
      const message = `expected at most ${POLICY_SLOT_MAX} policies, found one more: ${name}`;
      throw new SapwoodError("capacity-exceeded", message);
    }
    const place = new ModulePlace(builtIn);
    this.#entries.set(name, { name, slot, place, swap: undefined, overdue: 0, greedy: 0, fault: undefined });
  }
}

/** Throws module-refused. */
function requireSound(name: string, { violations }: TrialReport): void {
  const violation = violations.find(({ kind }) => REFUSED.includes(kind));
  if (violation === undefined) return;
  const { set, example } = violation;
  const sentence =
    set === undefined && example.startsWith("The policy module")
      ? example
      : `The policy module ${name} failed when it was tried${set === undefined ? "" : ` on ${set}`}: ${example}.`;
  throw new SapwoodError("module-refused", sentence);
}

/** What a draining candidate is chosen for the engine gives to another one. */
function spreadOf({ candidates }: CandidateSet, { chosen, unanswered }: SetOutcome): Spread {
  const isKept = (index: number): boolean => candidates[index]?.isDraining !== true;
  const given = chosen.reduce((sum, flows, index) => sum + (isKept(index) ? 0 : flows), unanswered);
  return { flows: chosen.map((flows, index) => (isKept(index) ? flows : 0)), none: given };
}

/** The module is another one: what was said of the one before does not count any more. */
function forget(entry: Entry): void {
  entry.overdue = 0;
  entry.greedy = 0;
  entry.fault = undefined;
  entry.swap = undefined;
}

function stateOf({ name, slot, place, swap, overdue, greedy, fault }: Entry): PolicyState {
  return { name, slot, current: place.current, previous: place.previous, swap, overdue, greedy, fault };
}
