// All modules of a proxy: policies and engine, from the package, from the state directory, from files and from
// commands; and what the workers say of them.

import { endTrials } from "../dataplane/module-trial.ts";
import type { Supervisor, SupervisorOptions } from "../dataplane/supervisor.ts";
import { SapwoodError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { BuiltModules } from "./built-modules.ts";
import { EngineRegistry } from "./engine-registry.ts";
import type { LoadedModule } from "./loaded-module.ts";
import { ModuleFiles, type PolicyFiles } from "./module-files.ts";
import { type LoadedPair, ModuleStore, type StoredModule, type StoredPair } from "./module-store.ts";
import { PolicyRegistry, type PolicyRegistryOptions } from "./policy-registry.ts";

export interface ModulesOptions extends Pick<PolicyRegistryOptions, "callTimeMs" | "memoryPagesMax" | "candidates"> {
  readonly built: BuiltModules;
  readonly stateDirectory: string;
  readonly configFile: string;
  readonly files: PolicyFiles;
  readonly clock: () => Date;
  readonly log: Logger;
}

const BYTES_PER_PAGE = 65_536;

export class Modules {
  readonly policies: PolicyRegistry;
  readonly engine: EngineRegistry;
  readonly files: ModuleFiles;
  readonly #store: ModuleStore;
  readonly #log: Logger;
  #isRestoring = true;
  /** Why the last change is not written down. */
  #unwritten: string | undefined;

  private constructor(options: ModulesOptions) {
    const { built, clock, log } = options;
    const onChange = (): void => this.#remember();
    this.#log = log;
    this.#store = new ModuleStore(options.stateDirectory);
    this.policies = new PolicyRegistry({ ...options, builtIn: built.policies, onChange });
    this.engine = new EngineRegistry({ builtIn: built.engine, clock, log, onChange });
    this.files = new ModuleFiles(options.configFile, this.policies, log);
  }

  /**
   * Loads what is remembered, then the files. A module that is refused is told and skipped. Throws already-running when
   * another proxy has the state directory.
   */
  static async open(options: ModulesOptions): Promise<Modules> {
    const modules = new Modules(options);
    modules.#store.claim();
    try {
      await modules.#restore();
      await modules.files.follow(options.files);
    } catch (error) {
      modules.#store.close();
      throw error;
    }
    modules.#isRestoring = false;
    return modules;
  }

  /**
   * What `change`, a command about modules, answers. Throws not-remembered when it was done and could not be written
   * down: it holds, but the next start will not know of it.
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
  }

  async close(): Promise<void> {
    endTrials();
    await this.files.close();
    this.#store.close();
  }

  async #restore(): Promise<void> {
    const { engine, policies } = this.#store.read((name, message) =>
      this.#log.error({ module: name }, `a module is not there any more: ${message}`),
    );
    for (const name of this.#store.policyNames()) this.policies.claim(name); // addresses may be bound to it
    if (engine !== undefined) {
      await this.#restorePair("engine", engine, (bytes, source) => this.engine.load(bytes, source, true));
    }
    for (const [name, stored] of policies) {
      await this.#restorePair(name, stored, (bytes, source) => this.policies.load(name, bytes, source, true));
    }
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
      if (!(error instanceof SapwoodError)) throw error;
      if (name === "engine") this.engine.noteRefusal(error.message);
      else this.policies.noteRefusal(name, error.message);
      this.#log.error({ module: name, code: error.code }, `a remembered module is skipped: ${error.message}`);
    }
  }

  /** Writes down what a command loaded and is in force. */
  #remember(): void {
    if (this.#isRestoring) return;
    const policies = new Map<string, LoadedPair>();
    for (const state of this.policies.states()) {
      const pair = keptOf(state);
      if (pair !== undefined) policies.set(state.name, pair);
    }
    try {
      this.#store.write({ engine: keptOf(this.engine.state()), policies });
      this.#unwritten = undefined;
    } catch (error) {
      this.#unwritten = (error instanceof Error ? error.message : String(error)).replace(/\.+$/, "");
      this.#log.error({ err: error }, "the loaded modules cannot be remembered over a restart");
    }
  }
}

/** Files of the configuration and the modules of the package are there without it. */
function keptOf({
  current,
  previous,
}: Record<"current" | "previous", LoadedModule | undefined>): LoadedPair | undefined {
  if (current?.isRemembered !== true) return undefined;
  return { current, previous: previous?.isRemembered === true ? previous : undefined };
}

/** Pages of a policy's memory, at least one. */
export function memoryPages(bytes: number): number {
  return Math.max(1, Math.floor(bytes / BYTES_PER_PAGE));
}
