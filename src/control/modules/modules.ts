// All modules of a proxy: policies and engine, from the package, from the state directory, from files and from
// commands; and what the workers say of them.

import { reasonOf, SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { shortageOf } from "../../base/shortage.ts";
import { endTrials } from "../../dataplane/modules/module-trial.ts";
import type { Supervisor, SupervisorOptions } from "../../dataplane/worker/supervisor.ts";
import type { Alarms } from "../../model/alarms.ts";
import type { LoadedModule } from "../state/loaded-module.ts";
import { isOutdated, type LoadedPair, ModuleStore, type StoredModule, type StoredPair } from "../state/module-store.ts";
import type { BuiltModules } from "./built-modules.ts";
import { EngineRegistry } from "./engine-registry.ts";
import { ModuleFiles, type PolicyFiles } from "./module-files.ts";
import { PolicyRegistry, type PolicyRegistryOptions } from "./policy-registry.ts";

interface ModulesOptions extends Pick<PolicyRegistryOptions, "callTimeMs" | "memoryPagesMax" | "candidates" | "uses"> {
  readonly built: BuiltModules;
  readonly stateDirectory: string;
  readonly configFile: string;
  readonly files: PolicyFiles;
  /** The lock on the state directory that the process before passed on. */
  readonly passedLock?: number | undefined;
  readonly clock: () => Date;
  readonly log: Logger;
  readonly alarms: Alarms;
}

/** What could not be written down is tried again so often. */
const REWRITE_MS = 1000;
/** Remembered modules that are tried at a time. */
const LANES = 4;

export class Modules {
  readonly policies: PolicyRegistry;
  readonly engine: EngineRegistry;
  readonly files: ModuleFiles;
  readonly #store: ModuleStore;
  readonly #log: Logger;
  readonly #stored = new Map<string, StoredPair>(); // policies that are remembered and not loaded yet
  #isRestoring = true;
  /** Why the last change is not written down. */
  #unwritten: string | undefined;
  #rewrite: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #alarms: Alarms;

  private constructor(options: ModulesOptions) {
    const { built, clock, log, alarms } = options;
    const onChange = (): void => this.#remember();
    this.#log = log;
    this.#alarms = alarms;
    this.#store = new ModuleStore(options.stateDirectory);
    const fileOf = (policy: string): string | undefined => this.files.of(policy)?.path;
    this.policies = new PolicyRegistry({ ...options, builtIn: built.policies, onChange, fileOf });
    this.engine = new EngineRegistry({ builtIn: built.engine, clock, log, onChange });
    this.files = new ModuleFiles(options.configFile, this.policies, log);
  }

  /**
   * Loads the files, and what is remembered of names that are needed; the rest follows after connect(). A module that
   * is refused is told and skipped. Throws already-running when another proxy has the state directory.
   */
  static async open(options: ModulesOptions): Promise<Modules> {
    const modules = new Modules(options);
    modules.#store.claim(options.passedLock);
    try {
      await modules.#restore(options);
    } catch (error) {
      modules.#store.close();
      throw error;
    }
    modules.#isRestoring = false;
    return modules;
  }

  /**
   * What `change`, a command about modules, answers. Throws not-remembered when it was done and could not be written
   * down: it holds, but the next start will not have it.
   */
  async written<T>(change: Promise<T>): Promise<T> {
    const done = await change;
    if (this.#unwritten === undefined) return done;
    throw new SapwoodError(
      "not-remembered",
      `The change is in force, but will not survive a restart of the proxy: ${this.#unwritten}.`,
    );
  }

  /** What the workers have to start with, and whom they tell of failures. */
  forWorkers(): Omit<SupervisorOptions, "memory" | "queues" | "policyTimeMs" | "onWorkerEnd" | "workerFile"> {
    return {
      engine: this.engine.current.module,
      policies: this.policies.modules(),
      onOverdue: ({ slot, times }) =>
        slot === undefined ? this.engine.onOverdue(times) : this.policies.onOverdue(slot, times),
      onGreedy: (slot) => this.policies.onGreedy(slot),
      onEngineFailed: (error) => this.engine.onFailed(error),
      onPolicyFailed: (slot, message) => this.policies.onFault(slot, message),
    };
  }

  /** The workers were started with `given`, what forWorkers() said; from now on changes are handed to them. */
  async connect(
    workers: Pick<Supervisor, "handPolicy" | "handEngine">,
    given: Pick<SupervisorOptions, "engine" | "policies">,
  ): Promise<void> {
    await this.engine.connect(workers, given.engine);
    await this.policies.connect(workers, given.policies);
    this.files.watch();
    void this.#settle(this.policies.deferred);
  }

  /** Of the lock on the state directory, to be passed on; undefined: there is none. */
  get lockDescriptor(): number | undefined {
    return this.#store.lockDescriptor;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#rewrite);
    endTrials();
    await this.files.close();
    this.#store.close();
  }

  async #restore({ files, uses }: ModulesOptions): Promise<void> {
    const { engine, policies } = this.#store.read((name, message) =>
      this.#alarms.tell({
        kind: "state-unusable",
        subject: name,
        message: `Not all modules that were loaded before can be read: ${name}: ${message}`,
        advice: 'See what is in state.directory, and load it again ("sapwood policy load", "sapwood engine load").',
      }),
    );
    const restoringEngine =
      engine &&
      this.#restorePair("engine", engine, (bytes, source) =>
        this.engine.load(bytes, { source, isRemembered: true, isForced: true }),
      );
    await this.files.follow(files);
    const isNeeded = (name: string): boolean => Object.hasOwn(files, name) || uses(name).length > 0;
    const names = [...policies.keys()].sort((a, b) => Number(isNeeded(b)) - Number(isNeeded(a)));
    for (const name of names) this.#defer(name, policies.get(name));
    await Promise.all([restoringEngine, this.#settle(names.filter(isNeeded))]);
  }

  #defer(name: string, stored: StoredPair | undefined): void {
    const file = this.files.of(name);
    if (stored === undefined) return;
    if (file !== undefined && isOutdated(stored, file.loadedSha256)) {
      const sentence = "the file is newer than the module that a command loaded, and is in force in its place";
      this.#log.warn({ policy: name, file: file.path }, sentence);
      return;
    }
    try {
      this.policies.claim(name); // addresses may be bound to it
    } catch (error) {
      this.#tellSkipped(name, reasonOf(error));
      return;
    }
    this.#stored.set(name, stored);
    this.policies.defer(name, () =>
      this.#restorePair(name, stored, (bytes, source) => this.policies.restore(name, bytes, source)),
    );
  }

  /** Loads what was deferred for these names, some at a time, as long as the proxy runs. */
  async #settle(names: readonly string[]): Promise<void> {
    const waiting = [...names];
    const lane = async (): Promise<void> => {
      for (let name = waiting.shift(); name !== undefined && !this.#isClosed; name = waiting.shift()) {
        await this.policies.settle(name);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  /** In the order in which they were loaded, so that a rollback leads from the one to the other. */
  async #restorePair(
    name: string,
    { current, previous }: StoredPair,
    load: (bytes: Uint8Array, source: string) => Promise<unknown>,
  ): Promise<void> {
    if (previous !== undefined) await this.#restoreOne(name, previous, load);
    if (current !== undefined) await this.#restoreOne(name, current, load);
  }

  async #restoreOne(
    name: string,
    { bytes, source }: StoredModule,
    load: (bytes: Uint8Array, source: string) => Promise<unknown>,
  ): Promise<void> {
    try {
      await load(bytes, source);
    } catch (error) {
      if (this.#isClosed) return;
      if (!(error instanceof SapwoodError)) throw error;
      if (name === "engine") this.engine.noteRefusal(error.message);
      else this.policies.noteRefusal(name, error.message);
      this.#tellSkipped(name, error.message);
    }
  }

  #tellSkipped(name: string, reason: string): void {
    this.#alarms.tell({
      kind: "state-unusable",
      subject: name,
      message: `A remembered module is skipped: ${name}: ${reason}`,
      advice: 'Load one that this version takes ("sapwood policy load", "sapwood engine load").',
    });
  }

  /** Writes down what a command loaded and is in force. */
  #remember(): void {
    if (this.#isRestoring) return;
    const policies = new Map<string, LoadedPair>();
    for (const state of this.policies.states()) {
      const pair = keptOf(state, this.files.of(state.name)?.loadedSha256);
      if (pair !== undefined) policies.set(state.name, pair);
    }
    for (const name of this.policies.deferred) {
      const { current, previous, instead } = this.#stored.get(name) ?? {};
      if (current !== undefined) policies.set(name, { current, previous, instead });
    }
    clearTimeout(this.#rewrite);
    try {
      this.#store.write({ engine: keptOf(this.engine.state()), policies });
      if (this.#unwritten !== undefined)
        this.#alarms.end("modules", "The loaded modules are remembered over a restart.");
      this.#unwritten = undefined;
    } catch (error) {
      if (this.#unwritten === undefined) this.#tellUnwritten(error);
      this.#unwritten = reasonOf(error).replace(/\.+$/, "");
      this.#rewrite = setTimeout(() => this.#remember(), REWRITE_MS).unref();
    }
  }

  #tellUnwritten(error: unknown): void {
    this.#alarms.tell({
      kind: "state-unwritable",
      subject: "modules",
      message: `The loaded modules cannot be remembered over a restart: ${reasonOf(error)}`,
      advice: `${shortageOf(error)?.advice ?? "See who may write to state.directory."} It is tried again each second.`,
    });
  }
}

/** Files of the configuration and the modules of the package are there without it. */
function keptOf(
  { current, previous }: Record<"current" | "previous", LoadedModule | undefined>,
  instead?: string,
): LoadedPair | undefined {
  if (current?.isRemembered !== true) return undefined;
  return { current, previous: previous?.isRemembered === true ? previous : undefined, instead };
}
