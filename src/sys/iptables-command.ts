// The `iptables` and `ip6tables` commands, whichever of the kernel's two interfaces they were built for.

import { readFileSync } from "node:fs";
import type { OpenNetns } from "./process-netns.ts";
import { hasTool, runTool, type Tool } from "./tool.ts";

/** Of IP. */
export type Family = 4 | 6;

/** Seconds to wait for another program that changes the rules at this moment. */
const PATIENCE = ["-w", "5"];

export function hasIptables(): boolean {
  return hasTool(toolOf(4)) && hasTool(toolOf(6));
}

/** Rules of a table, or of one chain of it, as `iptables -S` prints them. Throws missing-tool, missing-rights or network-setup. */
export async function listRules(family: Family, table: string, chain: readonly string[] = []): Promise<string[]> {
  const options = [...PATIENCE, "-t", table, "-S", ...chain];
  const text = await runTool(toolOf(family), options, "", () => options.join(" "));
  return text.split("\n").filter((line) => line !== "");
}

/** The programs that print all rules of a family: of the kernel's newer interface or the older one, and of the older one alone. */
const SAVERS = ["iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy"] as const;
export type IptablesProgram = (typeof SAVERS)[number];
/** Tables of the older interface that there are; to ask for others would make them. */
const LEGACY_TABLES = {
  "iptables-legacy": "/proc/net/ip_tables_names",
  "ip6tables-legacy": "/proc/net/ip6_tables_names",
};

/** Those of `SAVERS` that are installed and have something to tell. */
export function iptablesSavers(): IptablesProgram[] {
  return SAVERS.filter((program) => {
    if (!hasTool({ program: `${program}-save`, package: "iptables" })) return false;
    return program === "iptables" || program === "ip6tables" || hasText(LEGACY_TABLES[program]);
  });
}

/** What iptables-save(8) prints. Throws missing-tool, missing-rights or network-setup. */
export function savedRules(program: IptablesProgram): Promise<string> {
  const tool = { program: `${program}-save`, package: "iptables" };
  return runTool(tool, [], "", () => "");
}

function hasText(path: string): boolean {
  try {
    return readFileSync(path, "utf8").trim() !== "";
  } catch {
    return false; // there is no such interface, or it may not be read: then neither may the rules
  }
}

/**
 * The lines, as iptables-restore(8) takes them, come into force at once in a table, or none. Throws as `listRules`. `netns`
 * is the namespace that is meant instead of this process's.
 */
export async function changeRules(
  family: Family,
  table: string,
  lines: readonly string[],
  netns?: OpenNetns,
): Promise<void> {
  const all = [`*${table}`, ...lines, "COMMIT"];
  const run = netns === undefined ? runTool : netns.run.bind(netns);
  await run(toolOf(family, "-restore"), [...PATIENCE, "--noflush"], `${all.join("\n")}\n`, (stderr) => {
    const line = Number(/line:? (\d+)/.exec(stderr)?.[1]);
    return all[line - 1] ?? "--noflush";
  });
}

function toolOf(family: Family, action = ""): Tool {
  return { program: `${family === 4 ? "iptables" : "ip6tables"}${action}`, package: "iptables" };
}
