// The `nft` command of nftables: packet filtering and address translation of the kernel.

import { runTool, type Tool } from "./tool.ts";

const NFT: Tool = { program: "nft", package: "nftables" };

/** All lines come into force at once, or none. Throws missing-tool, missing-rights or network-setup. */
export async function nft(lines: readonly string[]): Promise<void> {
  await runTool(NFT, ["-f", "-"], `${lines.join("\n")}\n`, (stderr) => {
    // nft repeats the line that it refuses below the reason.
    const refused = stderr.split("\n")[1]?.trim();
    return refused || "-f -";
  });
}
