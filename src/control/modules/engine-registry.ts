// The engine in force and the one before it. Promises: an engine is tried on a memory of its own before any worker gets
// it; one that fails in a worker, or does not return there, is replaced by the one before; changes take turns.

import { SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { Turns } from "../../base/turns.ts";
import { tryEngine } from "../../dataplane/modules/module-trial.ts";
import { checkBytes, compileBytes, ENGINE_SHAPE } from "../../dataplane/modules/wasm.ts";
import type { HandOver, Overdue, Supervisor } from "../../dataplane/worker/supervisor.ts";
import { type LoadedModule, type LoadOptions, ModulePlace, sha256Of } from "../state/loaded-module.ts";

interface EngineRegistryOptions {
  readonly builtIn: LoadedModule;
  readonly clock: () => Date;
  readonly log: Logger;
  /** Is told of each change. */
  readonly onChange: () => void;
}

export interface EngineState {
  readonly current: LoadedModule;
  readonly previous: LoadedModule | undefined;
  /** How the engine in force was handed over. */
  readonly swap: HandOver | undefined;
  /** Why the last engine was taken out of force. */
  readonly fault: { readonly at: Date; readonly message: string } | undefined;
}

type Handing = Pick<Supervisor, "handEngine">;

/** The engine of the package is slow only where the whole machine is, so it may take the limit times this. */
const BUILT_IN_PATIENCE = 5;

export class EngineRegistry {
  readonly #options: EngineRegistryOptions;
  readonly #place: ModulePlace;
  readonly #turns = new Turns();
  #workers: Handing | undefined;
  #swap: HandOver | undefined;
  #fault: EngineState["fault"];

  constructor(options: EngineRegistryOptions) {
    this.#options = options;
    this.#place = new ModulePlace(options.builtIn);
  }

  /** What a worker has to start with. */
  get current(): LoadedModule {
    return this.#place.current ?? this.#options.builtIn;
  }

  /** From now on changes are handed to these workers, which were `given` what was in force then. */
  async connect(workers: Handing, given: WebAssembly.Module): Promise<void> {
    this.#workers = workers;
    if (this.current.module !== given) await this.#hand();
  }

  state(): EngineState {
    return { current: this.current, previous: this.#place.previous, swap: this.#swap, fault: this.#fault };
  }

  /** Tries an engine and puts it in force. Throws module-refused, and all stays. */
  load(bytes: Uint8Array, options: LoadOptions): Promise<EngineState> {
    return this.#turns.take(async () => {
      const loaded = await this.#tried(bytes, options);
      this.#place.put(loaded); // before it runs: should it fail, it is the one to be dropped
      this.#fault = undefined;
      try {
        await this.#hand();
      } catch (error) {
        if (this.current === loaded) this.#place.drop();
        throw error;
      }
      this.#options.onChange();
      const { current, fault } = this.state();
      if (current !== loaded) {
        throw new SapwoodError("module-refused", `The engine module ${fault?.message.replace(/\.$/, "")}.`);
      }
      this.#options.log.info({ source: options.source, sha256: loaded.sha256, ...this.#swap }, "engine loaded");
      return this.state();
    });
  }

  /** Puts the engine before in force again. Throws module-refused when there is none. */
  rollback(): Promise<EngineState> {
    return this.#turns.take(async () => {
      const { previous } = this.#place;
      if (previous === undefined) throw new SapwoodError("module-refused", "The engine has no module to go back to.");
      this.#place.drop();
      this.#fault = undefined;
      await this.#hand();
      this.#options.onChange();
      this.#options.log.info({ sha256: previous.sha256, ...this.#swap }, "engine rolled back");
      return this.state();
    });
  }

  /**
   * A call of the engine did not return. Whether the worker is to be ended. The engine of the package stays in force:
   * it has more time, and the next worker may find other packets or other state.
   */
  onOverdue(times: Overdue["times"]): boolean {
    if (this.#dropFailed("did not return, and was taken out of force")) return true;
    if (times < BUILT_IN_PATIENCE) return false;
    this.#fault = { at: this.#options.clock(), message: "did not return" };
    this.#options.log.error({ sha256: this.current.sha256 }, "the engine of the package did not return");
    return true;
  }

  /** A worker ended by itself. Whether another engine is in force now. */
  onFailed({ code, message }: SapwoodError): boolean {
    return code === "internal" && this.#dropFailed(`was taken out of force: ${message}`);
  }

  /** For the reports: a module that was refused at the start. */
  noteRefusal(message: string): void {
    this.#fault = { at: this.#options.clock(), message };
  }

  #dropFailed(message: string): boolean {
    const { clock, log, onChange } = this.#options;
    const failed = this.current;
    if (failed === this.#place.builtIn) return false;
    this.#place.drop();
    this.#fault = { at: clock(), message };
    onChange();
    const inForce = this.current.sha256;
    log.error({ sha256: failed.sha256, inForce }, `the engine ${message}; the one before it is in force again`);
    this.#hand().catch((error: unknown) => log.error({ err: error }, "could not replace the engine"));
    return true;
  }

  async #tried(bytes: Uint8Array, { source, isRemembered, isForced }: LoadOptions): Promise<LoadedModule> {
    const sha256 = sha256Of(bytes);
    const name = sha256.slice(0, 12);
    checkBytes(bytes, ENGINE_SHAPE, name);
    await tryEngine({ bytes, inForce: this.current.bytes, isForced });
    const module = await compileBytes(bytes, ENGINE_SHAPE, name);
    return { module, bytes, sha256, source, loadedAt: this.#options.clock(), isRemembered };
  }

  async #hand(): Promise<void> {
    this.#swap = await this.#workers?.handEngine(this.current.module);
  }
}
