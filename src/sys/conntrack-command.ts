// The `conntrack` command of conntrack-tools: connections that the kernel tracks, and with them how it translates addresses.

import { reasonOf } from "../base/errors.ts";
import type { Family } from "./iptables-command.ts";
import { hasTool, runTool, type Tool } from "./tool.ts";

const CONNTRACK: Tool = { program: "conntrack", package: "conntrack" };
/** It fails when there was nothing to delete. */
const NOTHING = /\b0 flow entries have been deleted/;
/** It ends early when a connection that it has listed ends by itself before it is deleted. */
const GONE = /conntrack doesn't exist/;
const ATTEMPTS = 5;

export function hasConntrack(): boolean {
  return hasTool(CONNTRACK);
}

/** Connections that options of conntrack(8) describe, one a line. Throws missing-tool, missing-rights or network-setup. */
export function listConnections(family: Family, filter: readonly string[]): Promise<string> {
  const options = ["-L", "-f", family === 4 ? "ipv4" : "ipv6", ...filter];
  return runTool(CONNTRACK, options, "", () => options.join(" "));
}

/** Forgets connections that options of conntrack(8) describe, if there are any. Throws missing-tool, missing-rights or network-setup. */
export async function deleteConnections(family: Family, filter: readonly string[]): Promise<void> {
  const options = ["-D", "-f", family === 4 ? "ipv4" : "ipv6", ...filter];
  for (let attempt = 1; ; attempt++) {
    try {
      await runTool(CONNTRACK, options, "", () => options.join(" "));
      return;
    } catch (error) {
      const reason = reasonOf(error);
      if (NOTHING.test(reason)) return;
      if (!GONE.test(reason) || attempt === ATTEMPTS) throw error;
    }
  }
}
