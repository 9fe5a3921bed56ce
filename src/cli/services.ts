// `sapwood services`: the service addresses, their policies and candidates.

import type { ServiceAddressReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { queryCommand } from "./query-command.ts";

export const servicesCommand: Command = queryCommand<readonly ServiceAddressReport[]>({
  name: "services",
  summary: "list the service addresses with policy and candidates",
  examples: [
    { line: "services", does: "what clients can call" },
    { line: "services --json", does: "the same for a program" },
  ],
  path: () => "/v1/services",
  async render(services) {
    if (services.length === 0) return "No services.\n";
    const { TextTable } = await import("../base/text-table.ts");
    const table = new TextTable(
      ["address", "policy", "service", { right: "candidates" }, { right: "draining" }],
      services.map((row) => [row.address, row.policy, row.service, String(row.candidates), String(row.draining)]),
    );
    return table.pieces();
  },
});
