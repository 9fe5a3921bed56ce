// The `ip` command of iproute2: links, addresses and routes.

import { runTool, type Tool } from "./tool.ts";

const IP: Tool = { program: "ip", package: "iproute2" };

/** One process for many commands, with options for all; they run in order up to the first that fails. */
export async function ipBatch(commands: readonly string[], options: readonly string[] = []): Promise<void> {
  await runTool(IP, [...options, "-batch", "-"], `${commands.join("\n")}\n`, (stderr) => {
    const line = Number(/Command failed -:(\d+)/.exec(stderr)?.[1]);
    return commands[line - 1] ?? commands.join("; ");
  });
}

/** Prints what `ip` prints. Throws missing-tool, missing-rights or network-setup. */
export async function ip(options: readonly string[]): Promise<string> {
  return runTool(IP, options, "", () => options.join(" "));
}

/** The entries of what `ip -json` prints, which is nothing at all for none. */
export function parseList(json: string): Record<string, unknown>[] {
  const list: unknown = json.trim() === "" ? [] : JSON.parse(json);
  return Array.isArray(list) ? list.filter((entry) => typeof entry === "object" && Object.keys(entry).length > 0) : [];
}
