// Runs a script in network and mount namespaces of its own, so that nothing it does touches the machine's network.
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Root needs no user namespace; an ordinary user becomes root of a new one. */
const UNSHARE = process.getuid?.() === 0 ? ["-nm"] : ["-Urnm"];

/** Why no namespace can be made, or undefined. For the names of skipped tests. */
export const namespaceProblem: string | undefined = probeNamespace();

/** Why no TUN can be opened in one, or undefined. */
export const tunProblem: string | undefined = namespaceProblem ?? probeTun();

/** Runs `script` (a .mjs that uses the build in dist/) and returns the JSON that it printed. */
export function runInNamespace(script: URL, ...args: readonly string[]): unknown {
  const command = [...UNSHARE, process.execPath, fileURLToPath(script), ...args];
  const run = spawnSync("unshare", command, { encoding: "utf8", timeout: 120_000 });
  if (run.status !== 0) throw new Error(`${script.pathname} ended with ${run.status ?? run.signal}:\n${run.stderr}`);
  return JSON.parse(run.stdout);
}

/** The same for a script that takes a folder, which is empty and goes with it. */
export function runInNamespaceWithFolder(script: URL): unknown {
  const folder = mkdtempSync(join(tmpdir(), "sapwood-test-"));
  try {
    return runInNamespace(script, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function probeNamespace(): string | undefined {
  const probe = spawnSync("unshare", [...UNSHARE, "ip", "link", "set", "lo", "up"], { encoding: "utf8" });
  if (probe.status === 0) return undefined;
  return `no network namespace: ${(probe.stderr ?? probe.error?.message ?? "").trim()}`;
}

function probeTun(): string | undefined {
  try {
    closeSync(openSync("/dev/net/tun", "r+"));
    return undefined;
  } catch (error) {
    return `no TUN: ${String(error)}`;
  }
}
