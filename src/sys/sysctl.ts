// Kernel parameters of the network that are changed while a proxy runs, and put back afterwards. The originals are
// written to a state file before anything is changed, so that a start after `kill -9` still knows them. There is one
// such file per network namespace, which all proxies in it share: a parameter is put back by the last one that needs
// it. Promises: what somebody else changed in the meantime is not overwritten.

import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { reasonOf, SapwoodError } from "../base/errors.ts";
import { withFolderLock } from "./file-lock.ts";
import { kernelSysctls, type SysctlStore } from "./kernel-sysctls.ts";
import { readOwnFile, removeOwnFile, replaceOwnFile, requireOwnFolder } from "./own-files.ts";

const STATE_BYTES_MAX = 2 ** 20;
const FOLDER = "network";
/** Whoever may open the folder may lock it. */
const FOLDER_MODE = 0o700;

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
  readonly value: string; // what was written
  /** Processes that need it. */
  readonly users: readonly string[];
}

interface State {
  /** The changes hold in this network namespace and until the machine starts anew. */
  readonly scope: string;
  readonly changes: readonly Change[];
}

/** Names the running kernel and this process's network namespace. */
export function currentScope(): string {
  return `${kernelSysctls.read("kernel/random/boot_id")} ${readlinkSync("/proc/self/ns/net")}`;
}

/**
 * The state file of this network namespace: below `shared`, where all proxies of the machine find it, or below `own`
 * where this user may not write there.
 */
export function sysctlStateFile(shared: string, own: string): string {
  const [inode] = /\d+/.exec(readlinkSync("/proc/self/ns/net")) ?? [];
  const file = `${inode}.json`;
  try {
    const folder = join(shared, FOLDER);
    requireOwnFolder(folder, FOLDER_MODE);
    return join(folder, file);
  } catch {
    return join(own, FOLDER, file);
  }
}

/** Processes as the state file names them; a test passes its own. */
interface Processes {
  readonly own: string;
  isAlive(process: string): boolean;
}

const kernelProcesses: Processes = {
  // Its number as /proc has it, which may be that of another PID namespace.
  get own() {
    const pid = readlinkSync("/proc/self");
    return `${pid} ${startOf(pid)}`;
  },
  isAlive: (name) => {
    const [pid = "", start] = name.split(" ");
    return /^\d+$/.test(pid) && start !== undefined && startOf(pid) === start;
  },
};

/** When a process began (proc(5): stat, field 22), by which it differs from others with its number. */
function startOf(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

/** Sets parameters and remembers what they were. */
export class SysctlSession {
  readonly #stateFile: string;
  readonly #scope: string;
  readonly #store: SysctlStore;
  readonly #processes: Processes;
  #isUsed = false;

  constructor(
    stateFile: string,
    scope: string,
    store: SysctlStore = kernelSysctls,
    processes: Processes = kernelProcesses,
  ) {
    this.#stateFile = stateFile;
    this.#scope = scope;
    this.#store = store;
    this.#processes = processes;
    this.#isUsed = existsSync(stateFile);
  }

  /**
   * Throws network-setup or missing-rights when the kernel does not take the value. A value that holds already is left
   * alone.
   */
  set({ path, value, onlyFrom }: Sysctl): void {
    const found = this.#read(path);
    if (found !== value && onlyFrom !== undefined && found !== onlyFrom) return;
    this.#locked((changes) => {
      const known = changes.find((change) => change.path === path);
      if (found === value && known?.value !== value) return changes;
      const users = new Set([...(known?.users ?? []), this.#processes.own]);
      const change = { path, original: known?.original ?? found, value, users: [...users] };
      return [...changes.filter((one) => one.path !== path), change];
    });
    if (found === value) return;
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

  /** Undoes every change that no other process needs, the last one first. Returns what could not be put back. */
  restore(): string[] {
    if (!this.#isUsed) return [];
    this.#isUsed = false;
    const failures: string[] = [];
    try {
      this.#locked((changes) => {
        const staying: Change[] = [];
        for (const change of [...changes].reverse()) {
          const users = change.users.filter((user) => user !== this.#processes.own);
          if (users.length > 0) staying.unshift({ ...change, users });
          else failures.push(...this.#putBack(change));
        }
        return staying;
      });
    } catch (error) {
      failures.push(reasonOf(error));
    }
    return failures;
  }

  #putBack({ path, original, value }: Change): string[] {
    try {
      if (this.#store.read(path) === value) this.#store.write(path, original);
      return [];
    } catch (cause) {
      // A parameter of an interface that is gone needs no restoring.
      return isMissing(cause) ? [] : [`${path} = ${original}: ${reasonOf(cause)}`];
    }
  }

  /** Gives `edit` the changes in force, those of processes that died included, and keeps what it returns. */
  #locked(edit: (changes: readonly Change[]) => readonly Change[]): void {
    const folder = dirname(this.#stateFile);
    try {
      requireOwnFolder(folder, FOLDER_MODE);
      withFolderLock(folder, () => {
        const left = readState(this.#stateFile);
        const before = left?.scope === this.#scope ? left.changes : [];
        const { isAlive } = this.#processes;
        const living = before.map((change) => ({ ...change, users: change.users.filter((user) => isAlive(user)) }));
        const changes = edit(living);
        this.#isUsed ||= changes.length > 0;
        if (changes.length === 0) removeOwnFile(this.#stateFile);
        else {
          const state: State = { scope: this.#scope, changes };
          replaceOwnFile(this.#stateFile, `${JSON.stringify(state, undefined, 2)}\n`);
        }
      });
    } catch (cause) {
      throw new SapwoodError(
        "network-setup",
        `The state file ${this.#stateFile}, which keeps the original kernel parameters, cannot be written: ${reasonOf(cause)}.`,
        { cause },
      );
    }
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
}

/** What a predecessor left; nothing when there is no file or it is none of ours. */
export function readState(file: string): State | undefined {
  let content: unknown;
  try {
    content = JSON.parse(readOwnFile(file, STATE_BYTES_MAX)?.toString("utf8") ?? "");
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
  const { path, original, value, users } = content as Partial<Record<keyof Change, unknown>>;
  // The paths are written to as root: only the network's parameters, and no way out of /proc/sys.
  const isOurs = typeof path === "string" && path.startsWith("net/") && !path.includes("..");
  const areTexts = [original, value, ...(Array.isArray(users) ? users : [users])].every(
    (one) => typeof one === "string",
  );
  return isOurs && Array.isArray(users) && areTexts;
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}

function isDenied(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "EACCES" || cause.code === "EPERM");
}
