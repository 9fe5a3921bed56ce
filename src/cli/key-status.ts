// `sapwood key status`: who a running proxy is in the encrypted underlay.

import type { KeyReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { orDash } from "./format.ts";
import { queryCommand } from "./query-command.ts";

export const keyStatusCommand: Command = queryCommand<KeyReport>({
  name: "key status",
  summary: "show the key that a running proxy uses, and its WireGuard interface",
  examples: [{ line: "key status", does: "public key, address inside, interface and port" }],
  path: () => "/v1/key",
  render: (report) => keyReportText(report),
});

export async function keyReportText({ publicKey, nextPublicKey, ...rest }: KeyReport): Promise<string> {
  const { renderFields } = await import("../base/text-table.ts");
  const { address, device, port, backend } = rest;
  return renderFields([
    ["public key", publicKey],
    ["next public key", orDash(nextPublicKey, String)],
    ["address inside", address],
    ["interface", `${device} (${backend}), UDP port ${port}`],
  ]);
}
