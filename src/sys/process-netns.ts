// The network namespace of another process, such as a container's.

import { statSync } from "node:fs";
import { SapwoodError } from "../base/errors.ts";
import { runTool, type Tool } from "./tool.ts";

const NSENTER: Tool = { program: "nsenter", package: "util-linux" };

/** What `ip` and `nsenter` take in the place of a name. */
export function namespaceOf(pid: number): string {
  return `/proc/${pid}/ns/net`;
}

/** Throws not-found when there is no such process, or when it is in this process's own namespace. */
export function requireOtherNamespace(pid: number): void {
  const found = inodeOf(String(pid));
  if (found === undefined) throw new SapwoodError("not-found", `There is no process ${pid}.`);
  if (found !== inodeOf("self")) return;
  throw new SapwoodError("not-found", `Process ${pid} must have a network namespace of its own; found the node's.`);
}

/** Runs lines of `ip -batch` in the namespace, up to the first that fails. */
export async function ipBatchIn(pid: number, commands: readonly string[]): Promise<void> {
  const options = [`--net=${namespaceOf(pid)}`, "ip", "-batch", "-"];
  await runTool(NSENTER, options, `${commands.join("\n")}\n`, (stderr) => {
    const line = Number(/Command failed -:(\d+)/.exec(stderr)?.[1]);
    return commands[line - 1] ?? options.join(" ");
  });
}

function inodeOf(process: string): number | undefined {
  try {
    return statSync(`/proc/${process}/ns/net`).ino;
  } catch {
    return undefined;
  }
}
