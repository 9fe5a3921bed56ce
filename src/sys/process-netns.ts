// Network namespaces of other processes, such as a container's, and those that have a name as ip-netns(8) gives it.

import { closeSync, existsSync, fstatSync, openSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { reasonOf, SapwoodError } from "../base/errors.ts";
import { ip } from "./ip-command.ts";
import { runTool, type Tool } from "./tool.ts";

const NAMED_FOLDER = "/run/netns";
const NSENTER: Tool = { program: "nsenter", package: "util-linux" };

/** A process and the namespace that it was found in. Process ids are used again, by processes of other namespaces. */
export interface NetnsProcess {
  readonly pid: number;
  readonly inode: number; // of the namespace
}

/** Whether the process still runs in that namespace. */
export function isInNetns({ pid, inode }: NetnsProcess): boolean {
  return inodeOf(String(pid)) === inode;
}

/** Whether a process is in the namespace of this one; also when that cannot be told. */
export function sharesNetns(pid: number): boolean {
  const theirs = inodeOf(String(pid));
  return theirs === undefined || theirs === inodeOf("self");
}

export function hasNamedNetns(name: string): boolean {
  return existsSync(join(NAMED_FOLDER, name));
}

/** Throws network-setup when there is one already. */
export async function addNamedNetns(name: string): Promise<void> {
  await ip(["netns", "add", name]);
}

/** The namespace itself ends with the last process in it. None is none to remove. */
export async function removeNamedNetns(name: string): Promise<void> {
  try {
    if (hasNamedNetns(name)) await ip(["netns", "delete", name]);
  } catch (error) {
    if (hasNamedNetns(name)) throw error;
  }
}

/** A namespace that is held open, so that all that is done in it is done in the same one. */
export class OpenNetns {
  readonly inode: number;
  readonly #file: number;

  private constructor(file: number) {
    this.inode = fstatSync(file).ino;
    this.#file = file;
  }

  /** Throws not-found when there is no such process, or when its namespace is this process's own or the machine's. */
  static ofProcess(pid: number): OpenNetns {
    const netns = OpenNetns.#open(`/proc/${pid}/ns/net`, `There is no process ${pid}.`);
    if (netns.inode !== inodeOf("self") && netns.inode !== inodeOf("1")) return netns;
    netns.close();
    throw new SapwoodError("not-found", `Process ${pid} must have a network namespace of its own; found the node's.`);
  }

  /** Throws not-found. */
  static named(name: string): OpenNetns {
    return OpenNetns.#open(join(NAMED_FOLDER, name), `There is no network namespace ${name}.`);
  }

  static #open(path: string, problem: string): OpenNetns {
    try {
      return new OpenNetns(openSync(path, "r"));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") throw new SapwoodError("not-found", problem, { cause });
      throw new SapwoodError("missing-rights", `The network namespace cannot be opened: ${reasonOf(cause)}.`, {
        cause,
      });
    }
  }

  /** What `ip` and `nsenter` take in the place of a name. */
  get path(): string {
    // /proc may be that of another PID namespace, in which this process has another number.
    return `/proc/${readlinkSync("/proc/self")}/fd/${this.#file}`;
  }

  /** Runs lines of `ip -batch` in the namespace, up to the first that fails. */
  async ipBatch(commands: readonly string[]): Promise<void> {
    await this.run({ program: "ip", package: "iproute2" }, ["-batch", "-"], `${commands.join("\n")}\n`, (stderr) => {
      const line = Number(/Command failed -:(\d+)/.exec(stderr)?.[1]);
      return commands[line - 1] ?? "-batch -";
    });
  }

  /** As `runTool`, in the namespace. */
  run(
    { program }: Tool,
    options: readonly string[],
    input: string,
    describe: (stderr: string) => string,
  ): Promise<string> {
    return runTool(NSENTER, [`--net=${this.path}`, program, ...options], input, (stderr) => {
      return `--net ${program} ${describe(stderr)}`;
    });
  }

  /** Once. */
  close(): void {
    closeSync(this.#file);
  }
}

function inodeOf(process: string): number | undefined {
  try {
    return statSync(`/proc/${process}/ns/net`).ino;
  } catch {
    return undefined;
  }
}
