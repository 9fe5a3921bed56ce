// Kernel parameters of the network that are changed while the proxy runs, and put back afterwards.
// The originals stand in a state file before anything is changed, so that a start after `kill -9` still knows them.
// Promises: what somebody else changed in the meantime is not overwritten.

import { mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { SapwoodError } from "../errors.ts";

const SYSCTL_ROOT = "/proc/sys";

/** A parameter as the path below /proc/sys: names of interfaces may have dots in them. */
export interface Sysctl {
  readonly path: string; // "net/ipv4/ip_forward"
  readonly value: string;
  /** Leaves every other value than this one as it is. */
  readonly onlyFrom?: string;
}

interface Change {
  readonly path: string;
  readonly original: string;
  readonly value: string; // what we wrote
}

interface State {
  /** The changes hold in this network namespace and until the machine starts anew. */
  readonly scope: string;
  readonly changes: readonly Change[];
}

/** Where parameters are read and written; a test passes its own. */
export interface SysctlStore {
  read(path: string): string;
  write(path: string, value: string): void;
}

const kernelSysctls: SysctlStore = {
  read: (path) => readFileSync(`${SYSCTL_ROOT}/${path}`, "utf8").trim(),
  write: (path, value) => writeFileSync(`${SYSCTL_ROOT}/${path}`, value),
};

/** Names the running kernel and this process's network namespace. */
export function currentScope(): string {
  const boot = readFileSync(`${SYSCTL_ROOT}/kernel/random/boot_id`, "utf8").trim();
  return `${boot} ${readlinkSync("/proc/self/ns/net")}`;
}

/** Sets parameters and remembers what they were. */
export class SysctlSession {
  readonly #stateFile: string;
  readonly #scope: string;
  readonly #store: SysctlStore;
  readonly #changes: Change[] = [];

  /** Takes over the changes of a predecessor that could not undo them. */
  constructor(stateFile: string, scope: string, store: SysctlStore = kernelSysctls) {
    this.#stateFile = stateFile;
    this.#scope = scope;
    this.#store = store;
    const left = readState(stateFile);
    if (left?.scope === scope) this.#changes.push(...left.changes);
  }

  /** Throws network-setup or missing-rights when the kernel does not take the value. A value that holds already is left alone. */
  set({ path, value, onlyFrom }: Sysctl): void {
    const found = this.#read(path);
    if (found === value || (onlyFrom !== undefined && found !== onlyFrom)) return;
    const known = this.#changes.findIndex((change) => change.path === path);
    const original = this.#changes[known]?.original ?? found;
    if (known >= 0) this.#changes.splice(known, 1);
    this.#changes.push({ path, original, value });
    this.#save();
    try {
      this.#store.write(path, value);
    } catch (cause) {
      throw new SapwoodError(
        isDenied(cause) ? "missing-rights" : "network-setup",
        `The kernel parameter ${path} must be ${value}, found ${found}, and setting it failed: ${reasonOf(cause)}.`,
        { cause },
      );
    }
  }

  /** Undoes every change, the last one first, and removes the state file. Returns what could not be put back. */
  restore(): string[] {
    const failures: string[] = [];
    for (const { path, original, value } of this.#changes.splice(0).reverse()) {
      try {
        if (this.#store.read(path) === value) this.#store.write(path, original);
      } catch (cause) {
        // A parameter of an interface that is gone needs no restoring.
        if (!isMissing(cause)) failures.push(`${path} = ${original}: ${reasonOf(cause)}`);
      }
    }
    rmSync(this.#stateFile, { force: true });
    return failures;
  }

  #read(path: string): string {
    try {
      return this.#store.read(path);
    } catch (cause) {
      throw new SapwoodError("network-setup", `Reading the kernel parameter ${path} failed: ${reasonOf(cause)}.`, {
        cause,
      });
    }
  }

  /** By way of a second file, so that a crash leaves the old state or the new one. */
  #save(): void {
    const state: State = { scope: this.#scope, changes: this.#changes };
    const next = `${this.#stateFile}.new`;
    try {
      mkdirSync(dirname(this.#stateFile), { recursive: true });
      writeFileSync(next, `${JSON.stringify(state, undefined, 2)}\n`, { mode: 0o600 });
      renameSync(next, this.#stateFile);
    } catch (cause) {
      throw new SapwoodError(
        "network-setup",
        `The state file ${this.#stateFile}, which keeps the original kernel parameters, cannot be written: ${reasonOf(cause)}.`,
        { cause },
      );
    }
  }
}

/** What a predecessor left; nothing when there is no file or it is none of ours. */
export function readState(file: string): State | undefined {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined; // mostly: no file. A damaged one tells no originals, so the values that hold are taken for them.
  }
  return isState(content) ? content : undefined;
}

function isState(content: unknown): content is State {
  if (typeof content !== "object" || content === null) return false;
  const { scope, changes } = content as Partial<Record<keyof State, unknown>>;
  return typeof scope === "string" && Array.isArray(changes) && changes.every(isChange);
}

function isChange(content: unknown): content is Change {
  if (typeof content !== "object" || content === null) return false;
  const { path, original, value } = content as Partial<Record<keyof Change, unknown>>;
  // The paths are written to as root: only the network's parameters, and no way out of /proc/sys.
  const isOurs = typeof path === "string" && path.startsWith("net/") && !path.includes("..");
  return isOurs && typeof original === "string" && typeof value === "string";
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}

function isDenied(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "EACCES" || cause.code === "EPERM");
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
