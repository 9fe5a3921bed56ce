// Which policies there are: each name has a slot, by which the tables and the workers know it, and the module that is
// in force there. A slot is given to another name only when nothing in the tables needs the old one any more.
// Promises: a module is in force in all workers or in none; one that does not return is replaced by the one before;
// changes take turns.

import { POLICY_SLOT_MAX } from "../../../assembly/shared/policies.ts";
import { SapwoodError } from "../../base/errors.ts";
import { meantText, nameList, shortText } from "../../base/issues.ts";
import type { Logger } from "../../base/log.ts";
import { Turns } from "../../base/turns.ts";
import { type Overdue, POLICY_SHARE_MAX, type Supervisor } from "../../dataplane/worker/supervisor.ts";
import type { PolicyModule } from "../../dataplane/worker/worker-contract.ts";
import { policyName } from "../../model/policy-names.ts";
import { type BuiltPolicy, type LoadedModule, type LoadOptions, ModulePlace } from "../state/loaded-module.ts";
import type { DryRun } from "./policy-judgement.ts";
import { forgetModule, type PolicyEntry, type PolicyState, stateOf } from "./policy-state.ts";
import { PolicyTrials, type PolicyTrialsOptions } from "./policy-trials.ts";

export interface PolicyRegistryOptions extends PolicyTrialsOptions {
  readonly builtIn: readonly BuiltPolicy[];
  /** Addresses and prefixes that are bound to the policy. */
  readonly uses: (policy: string) => readonly string[];
  /** Its file under `policies`, which would bring it back. */
  readonly fileOf: (policy: string) => string | undefined;
  readonly log: Logger;
  /** Is told of each change. */
  readonly onChange: () => void;
}

type Handing = Pick<Supervisor, "handPolicy">;

/** A policy of the package is slow only where the whole machine is, so it may take the limit times this. */
const BUILT_IN_PATIENCE = 10;
const USES_TOLD_MAX = 5;

export class PolicyRegistry {
  readonly #options: PolicyRegistryOptions;
  readonly #entries = new Map<string, PolicyEntry>();
  readonly #trials: PolicyTrials;
  readonly #turns = new Map<string, Turns>(); // by name
  readonly #deferred = new Map<string, () => Promise<void>>(); // modules that are still to be loaded, by name
  #workers: Handing | undefined;

  constructor(options: PolicyRegistryOptions) {
    this.#options = options;
    this.#trials = new PolicyTrials(options);
    for (const { name, loaded } of options.builtIn) this.#add(name, loaded);
  }

  /** Names that service addresses may be bound to. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /**
   * Makes a name known; until a module is loaded for it the engine chooses by itself. Throws capacity-exceeded when
   * there are as many as there may be, and all of them are needed.
   */
  claim(name: string): void {
    if (!this.#entries.has(name)) this.#add(name, undefined);
  }

  /** Loads a name's module later: when somebody orders something of it, or calls settle(). */
  defer(name: string, work: () => Promise<void>): void {
    this.#deferred.set(name, work);
  }

  /** Names whose modules are still to be loaded. */
  get deferred(): string[] {
    return [...this.#deferred.keys()];
  }

  /** Does what was deferred for a name. */
  async settle(name: string): Promise<void> {
    const work = this.#deferred.get(name);
    if (work === undefined) return;
    try {
      await work();
    } finally {
      this.#deferred.delete(name); // not before: it is remembered as it was until then
    }
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
  load(nameOrAlias: string, bytes: Uint8Array, options: LoadOptions): Promise<PolicyState> {
    const name = policyName(nameOrAlias);
    return this.#turn(name, async () => {
      if (!this.#entries.has(name)) this.#requireRoom(name);
      const loaded = await this.#trials.admit(name, bytes, options);
      this.#deferred.delete(name); // this order is later
      return await this.#put(name, loaded);
    });
  }

  /** Puts a module in force that was tried when it was loaded, and is tried again in short. Throws module-refused. */
  restore(name: string, bytes: Uint8Array, source: string): Promise<PolicyState> {
    return this.#turn(name, async () => {
      const options = { source, isRemembered: true, isForced: true };
      return await this.#put(name, await this.#trials.admit(name, bytes, options, true));
    });
  }

  /** Tries a module without putting it in force. Throws module-refused. */
  dryRun(nameOrAlias: string, bytes: Uint8Array, isForced = false): Promise<DryRun> {
    const name = policyName(nameOrAlias);
    return this.#turn(name, async () => {
      const tried = await this.#trials.admit(name, bytes, { source: "dry run", isRemembered: false, isForced });
      const current = this.#entries.get(name)?.place.current;
      return await this.#trials.compare(name, tried, current);
    });
  }

  /** Puts the module before in force again. Throws not-found, or module-refused when there is none. */
  rollback(nameOrAlias: string): Promise<PolicyState> {
    const name = policyName(nameOrAlias);
    return this.#turn(name, async () => {
      await this.settle(name);
      const entry = this.#known(name);
      const { previous } = entry.place;
      if (previous === undefined) {
        throw new SapwoodError("module-refused", `The policy ${name} has no module to go back to.`);
      }
      entry.place.drop();
      forgetModule(entry);
      await this.#hand(entry);
      this.#options.onChange();
      this.#options.log.info({ policy: name, sha256: previous.sha256, ...entry.swap }, "policy rolled back");
      return stateOf(entry);
    });
  }

  /**
   * Takes loaded modules out of force: the module of the package comes back, or the name falls away. Throws not-found,
   * and module-refused when the name is needed.
   */
  unload(nameOrAlias: string): Promise<void> {
    const name = policyName(nameOrAlias);
    return this.#turn(name, async () => {
      const entry = this.#known(name);
      const { builtIn, current } = entry.place;
      if (builtIn !== undefined && current === builtIn && !this.#deferred.has(name)) {
        throw new SapwoodError("module-refused", `The policy ${name} has the module of the package; none is loaded.`);
      }
      const file = this.#options.fileOf(name);
      if (file !== undefined) {
        const sentence = `The policy ${name} has its file ${file} under "policies" in the configuration: remove it there.`;
        throw new SapwoodError("module-refused", sentence);
      }
      const uses = this.#options.uses(name);
      if (builtIn === undefined && uses.length > 0) {
        const more = uses.length > USES_TOLD_MAX ? ` and ${uses.length - USES_TOLD_MAX} more` : "";
        const told = `${uses.slice(0, USES_TOLD_MAX).join(", ")}${more}`;
        throw new SapwoodError(
          "module-refused",
          `The policy ${name} cannot be unloaded while it is needed by ${told}.`,
        );
      }
      this.#deferred.delete(name);
      entry.place.reset();
      forgetModule(entry);
      await this.#hand(entry);
      if (builtIn === undefined) this.#entries.delete(name);
      this.#options.onChange();
      this.#options.log.info({ policy: name }, "policy unloaded");
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

  /**
   * Policies took too much of a worker's time, the one in this slot most of it. Those of the package are as good as
   * any.
   */
  onGreedy(slot: number): void {
    const entry = this.#ofSlot(slot);
    const current = entry?.place.current;
    if (entry === undefined || current === undefined || current === entry.place.builtIn) return;
    entry.greedy += 1;
    this.#takeOut(
      entry,
      current,
      `took most of the time when policies had more than ${100 * POLICY_SHARE_MAX} % of a worker's over a second`,
    );
  }

  #takeOut(entry: PolicyEntry, culprit: LoadedModule, what: string): void {
    const { clock, log } = this.#options;
    this.#trials.noteTakenOut(culprit.sha256);
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
    const entry = this.#entries.get(name);
    if (entry !== undefined) entry.fault = { at: this.#options.clock(), message };
  }

  async #put(name: string, loaded: LoadedModule): Promise<PolicyState> {
    this.claim(name);
    const entry = this.#known(name);
    await this.#putInForce(entry, loaded);
    const { source, sha256 } = loaded;
    this.#options.log.info({ policy: name, source, sha256, ...entry.swap }, "policy loaded");
    return stateOf(entry);
  }

  async #putInForce(entry: PolicyEntry, loaded: LoadedModule): Promise<void> {
    entry.place.put(loaded); // before it runs: should it not return, it is the one to be dropped
    forgetModule(entry);
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
  async #hand(entry: PolicyEntry): Promise<void> {
    const { name, slot, place } = entry;
    entry.swap = await this.#workers?.handPolicy({ slot, name, module: place.current?.module });
  }

  #known(name: string): PolicyEntry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new SapwoodError(
      "not-found",
      `There is no policy ${shortText(name)}; there are ${nameList(this.names)}${meantText(name, this.names)}.`,
    );
  }

  #ofSlot(slot: number): PolicyEntry | undefined {
    return [...this.#entries.values()].find((entry) => entry.slot === slot);
  }

  /** Orders about one name take turns; those about different names do not wait for each other's trials. */
  #turn<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const turns = this.#turns.get(name) ?? new Turns();
    this.#turns.set(name, turns);
    return turns.take(work);
  }

  #add(name: string, builtIn: LoadedModule | undefined): void {
    this.#requireRoom(name);
    const taken = new Set([...this.#entries.values()].map(({ slot }) => slot));
    let slot = 0;
    while (taken.has(slot)) slot += 1;
    const place = new ModulePlace(builtIn);
    this.#entries.set(name, { name, slot, place, swap: undefined, overdue: 0, greedy: 0, fault: undefined });
  }

  /** Names that nobody needs and that have no module fall away when there is no room for another one. */
  #requireRoom(name: string): void {
    if (this.#entries.size < POLICY_SLOT_MAX) return;
    for (const entry of [...this.#entries.values()]) {
      const { name: known, place } = entry;
      if (this.#isNeeded(known, place)) continue;
      this.#entries.delete(known);
      if (place.current === undefined) continue;
      place.reset();
      this.#hand(entry).catch((error: unknown) =>
        this.#options.log.error({ err: error, policy: known }, "could not drop it"),
      );
    }
    if (this.#entries.size < POLICY_SLOT_MAX) return;
    const message = `expected at most ${POLICY_SLOT_MAX} policies, found one more: ${name}; "sapwood policy unload" removes one`;
    throw new SapwoodError("capacity-exceeded", message);
  }

  #isNeeded(name: string, { builtIn, current }: ModulePlace): boolean {
    const { uses, fileOf } = this.#options;
    const isLoaded = builtIn !== undefined || current?.isRemembered === true || this.#deferred.has(name);
    return isLoaded || fileOf(name) !== undefined || uses(name).length > 0;
  }
}
