// Where and what was measured, without which a figure says little; and whether the machine has what is needed.
import { spawnSync } from "node:child_process";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SapwoodError } from "../../src/base/errors.ts";
import { busySeconds } from "./processor-time.ts";

const GIB = 2 ** 30;
/** How long the load is looked at before a measurement, and how high it may be: with more, figures say little. */
export const LOAD_CHECK_MS = 500;
export const LOAD_MAX = 0.1;

export interface Machine {
  readonly processor: string;
  readonly processors: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
}

export function thisMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    processors: availableParallelism(),
    memoryGiB: Math.round(totalmem() / GIB),
    kernel: release(),
    node: process.version,
  };
}

/** One line. */
export function describeMachine({ processor, processors, memoryGiB, kernel, node }: Machine): string {
  return `${processors} x ${processor}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}`;
}

/** How busy all processors together are at the moment, 0 to 1. */
export async function loadOf(forMs: number): Promise<number> {
  const startMs = performance.now();
  const startBusy = busySeconds();
  await pause(forMs);
  const seconds = (performance.now() - startMs) / 1000;
  return (busySeconds() - startBusy) / (cpus().length * seconds);
}

/** Hash of the sources' commit, with "+" when they were changed since; "unknown" outside a checkout. */
export function sourceCommit(): string {
  const cwd = fileURLToPath(new URL(".", import.meta.url));
  const git = (...args: readonly string[]) => spawnSync("git", args, { cwd, encoding: "utf8" });
  const commit = git("rev-parse", "--short=12", "HEAD");
  if (commit.status !== 0) return "unknown";
  const isChanged = git("status", "--porcelain", "--untracked-files=no").stdout !== "";
  return `${commit.stdout.trim()}${isChanged ? "+" : ""}`;
}

/** Throws missing-tool, naming all that are missing at once. */
export function requireTools(packageByTool: Readonly<Record<string, string>>): void {
  // An ordinary user's PATH may lack the folders that have `nft`.
  const env = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` };
  const missing = Object.keys(packageByTool).filter(
    (tool) => spawnSync(tool, ["--version"], { env }).error !== undefined,
  );
  if (missing.length === 0) return;
  const packages = missing.map((tool) => packageByTool[tool]).join(" ");
  throw new SapwoodError(
    "missing-tool",
    `The benchmark needs ${missing.map((tool) => `\`${tool}\``).join(" and ")} in the PATH; on Debian: apt-get install ${packages}.`,
  );
}
