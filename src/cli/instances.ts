// `sapwood instances`: where each instance runs and how it is reached.

import type { InstanceReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { durationText } from "./format.ts";
import { queryCommand } from "./query-command.ts";

/** Characters that a line needs for reasons as well. */
const WIDE = 120;

export const instancesCommand: Command = queryCommand<readonly InstanceReport[]>({
  name: "instances",
  summary: "list the instances with node, addresses and load",
  examples: [
    { line: "instances", does: "where each instance runs" },
    { line: "instances --json", does: "the same for a program" },
  ],
  path: () => "/v1/instances",
  async render(instances, _input, columns = WIDE) {
    if (instances.length === 0) return "No instances.\n";
    const { TextTable } = await import("../base/text-table.ts");
    const table = new TextTable(
      ["instance", "node", "namespace", "address", { right: "weight" }, "state", "health", { right: "flows" }],
      instances.map((row) => [
        `${row.service}#${row.number}`,
        row.isLocal ? `${row.node} (this)` : row.node,
        row.namespaceAddresses.join("\n"),
        row.instanceAddresses.join("\n"),
        String(row.weight),
        row.draining ? "draining" : "active",
        healthText(row, columns >= WIDE),
        String(row.flows),
      ]),
    );
    return table.pieces();
  },
});

/** "unhealthy", and below it for how long and why. */
function healthText({ health, healthAgeMs, healthReason }: InstanceReport, isWide: boolean): string {
  if (health === "unchecked") return "-";
  const since = healthAgeMs === null ? [] : [`for ${durationText(healthAgeMs)}`];
  const reason = isWide && healthReason !== null ? [healthReason] : [];
  return [health, ...since, ...reason].join("\n");
}
