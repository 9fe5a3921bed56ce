// The operator's file of policies while the daemon runs: read again whenever it changes. Promise: a file with a mistake,
// or bindings that cannot be in force, leave those that are.

import { isDeepStrictEqual } from "node:util";
import { reasonOf } from "../../../base/errors.ts";
import type { Logger } from "../../../base/log.ts";
import { type FileListener, FileWatcher } from "../../config/file-watcher.ts";
import { loadPolicyFile, type PolicyFile } from "./policy-file.ts";

export class FollowedPolicies implements FileListener<PolicyFile> {
  /** What the daemon began with: what it has of the file beside the bindings is in force until its end. */
  readonly started: PolicyFile;
  readonly #path: string;
  readonly #watcher: FileWatcher<PolicyFile>;
  readonly #log: Logger;
  #inForce: PolicyFile;
  #bindAnew: () => Promise<void> = () => Promise.resolve();

  private constructor(path: string, watcher: FileWatcher<PolicyFile>, started: PolicyFile, log: Logger) {
    this.#path = path;
    this.#watcher = watcher;
    this.started = started;
    this.#inForce = started;
    this.#log = log;
  }

  /** Reads the file, which need not be there. Throws config-unreadable or config-invalid. */
  static async open(path: string, log: Logger): Promise<FollowedPolicies> {
    const watcher = new FileWatcher(path, loadPolicyFile);
    return new FollowedPolicies(path, watcher, await watcher.load(), log);
  }

  /** What a round-robin address of a job stands for at this moment; undefined = for just that. */
  readonly policyOf = (job: string, address: string): string | undefined => this.#inForce.policyOf(job, address);

  /** From now on; `bindAnew` asks for all bindings again, and throws when they cannot be in force. */
  follow(bindAnew: () => Promise<void>): void {
    this.#bindAnew = bindAnew;
    this.#watcher.watch(this);
  }

  /** Reads the file again whether it changed or not. */
  reload(): Promise<void> {
    return this.#watcher.reload();
  }

  close(): Promise<void> {
    return this.#watcher.close();
  }

  async onContent(found: PolicyFile): Promise<void> {
    const before = this.#inForce;
    this.#inForce = found;
    try {
      await this.#bindAnew();
    } catch (error) {
      this.#inForce = before;
      throw error;
    }
    const late = (["modules", "probe"] as const).filter((field) => {
      return !isDeepStrictEqual(found[field], this.started[field]);
    });
    if (late.length > 0)
      this.#log.warn(`${this.#path}: a change of ${late.join(" and ")} takes effect at the next start`);
    this.#log.info({ file: this.#path }, "policies applied");
  }

  onRefused(error: unknown): void {
    this.#log.error(`the policies stay as they were: ${reasonOf(error)}`);
  }

  onUnwatched(problem: string): void {
    this.#log.warn({ file: this.#path }, `the policies cannot be followed as they should be: ${problem}`);
  }
}
