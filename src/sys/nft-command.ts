// The `nft` command of nftables: packet filtering and address translation of the kernel.

import type { OpenNetns } from "./process-netns.ts";
import { hasTool, runTool, type Tool } from "./tool.ts";

const NFT: Tool = { program: "nft", package: "nftables" };

export function hasNft(): boolean {
  return hasTool(NFT);
}

/** Prints what `nft list` does. Throws missing-tool, missing-rights or network-setup. */
export function listNft(what: readonly string[], options: readonly string[]): Promise<string> {
  const command = [...options, "list", ...what];
  return runTool(NFT, command, "", () => command.join(" "));
}

/**
 * All lines come into force at once, or none. Throws missing-tool, missing-rights or network-setup. `netns` is the
 * namespace that is meant instead of this process's.
 */
export async function nft(lines: readonly string[], netns?: OpenNetns): Promise<void> {
  const run = netns === undefined ? runTool : netns.run.bind(netns);
  await run(NFT, ["-f", "-"], `${lines.join("\n")}\n`, (stderr) => {
    // nft repeats the line that it refuses below the reason.
    const refused = stderr.split("\n")[1]?.trim();
    return refused || "-f -";
  });
}
