// The files under `policies` in the configuration: each is watched, and replacing it replaces the policy. One that is
// refused is told in the log, and the module in force stays.

import { dirname, resolve } from "node:path";
import { reasonOf, SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { POLICY_SHAPE } from "../../dataplane/modules/policy-module.ts";
import { readModule } from "../../dataplane/modules/wasm.ts";
import { type FileListener, FileWatcher } from "../config/file-watcher.ts";
import type { PolicyRegistry } from "./policy-registry.ts";

/** As the configuration has them: by the policy's name. */
export type PolicyFiles = Readonly<Record<string, { readonly file: string }>>;

interface Followed {
  readonly path: string;
  readonly watcher: FileWatcher<Uint8Array>;
  readonly listener: FileListener<Uint8Array>;
  /** Of the content that was loaded last. */
  loadedSha256: string | undefined;
}

export class ModuleFiles {
  readonly #folder: string;
  readonly #policies: PolicyRegistry;
  readonly #log: Logger;
  readonly #followed = new Map<string, Followed>();
  #isWatching = false;

  /** Paths are relative to the configuration's folder. */
  constructor(configFile: string, policies: PolicyRegistry, log: Logger) {
    this.#folder = dirname(resolve(configFile));
    this.#policies = policies;
    this.#log = log;
  }

  /** Loads these files, and follows no others from now on. Resolves when each was loaded or refused. */
  async follow(files: PolicyFiles): Promise<void> {
    const wantedFiles = new Map(Object.entries(files));
    for (const [name, { path, watcher }] of this.#followed) {
      const wanted = wantedFiles.get(name);
      if (wanted !== undefined && this.#resolve(wanted.file) === path) continue;
      this.#followed.delete(name);
      await watcher.close();
    }
    const added = [...wantedFiles].filter(([name]) => !this.#followed.has(name));
    await Promise.all(added.map(([name, { file }]) => this.#begin(name, this.#resolve(file))));
  }

  /** Path of a policy's file and the hash of what was loaded from it; undefined: it has none. */
  of(name: string): { readonly path: string; readonly loadedSha256: string | undefined } | undefined {
    return this.#followed.get(name);
  }

  /** Loads again what changes from now on, or did since it was loaded. */
  watch(): void {
    this.#isWatching = true;
    for (const { watcher, listener } of this.#followed.values()) watcher.watch(listener);
  }

  async close(): Promise<void> {
    await this.follow({});
  }

  async #begin(name: string, path: string): Promise<void> {
    const watcher = new FileWatcher(path, (file) => readModule(file, POLICY_SHAPE));
    const load = async (bytes: Uint8Array): Promise<void> => {
      const { current } = await this.#policies.load(name, bytes, { source: path, isRemembered: false });
      followed.loadedSha256 = current?.sha256;
    };
    const refused = (error: unknown): void => {
      const message = reasonOf(error);
      this.#policies.noteRefusal(name, message);
      const code = error instanceof SapwoodError ? error.code : "internal";
      this.#log.error({ policy: name, file: path, code }, `refused, the module in force stays: ${message}`);
    };
    const listener = {
      onContent: load,
      onRefused: refused,
      onUnwatched: (problem: string) =>
        this.#log.warn({ policy: name, file: path }, `the file cannot be followed as it should be: ${problem}`),
    };
    const followed: Followed = { path, watcher, listener, loadedSha256: undefined };
    this.#followed.set(name, followed);
    try {
      this.#policies.claim(name); // addresses may be bound to it, whatever its file is worth
      await load(await watcher.load());
    } catch (error) {
      refused(error);
    }
    if (this.#isWatching) watcher.watch(listener);
  }

  #resolve(file: string): string {
    return resolve(this.#folder, file);
  }
}
