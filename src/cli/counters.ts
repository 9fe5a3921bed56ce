// `sapwood counters`: what the data plane did, and what it dropped and why.

import type { CountersReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { queryCommand } from "./query-command.ts";

export const countersCommand: Command = queryCommand<CountersReport>({
  name: "counters",
  summary: "show packets, flows and drops by reason since the start",
  options: [{ flags: "-a, --all", summary: "also what is 0" }],
  examples: [
    { line: "counters", does: "what happened so far" },
    { line: "counters --all", does: "every counter there is" },
    { line: "counters --json", does: "every counter, for a program" },
  ],
  path: () => "/v1/counters",
  async render({ counters, drops, kernel }, input) {
    const { renderTable } = await import("../base/text-table.ts");
    const all = input.flag("all");
    const rows = (values: Readonly<Record<string, number>>) =>
      Object.entries(values)
        .filter(([, value]) => all || value > 0)
        .map(([name, value]) => [name, String(value)]);
    const countRows = rows(counters);
    const kernelRows = rows(kernel);
    const dropRows = Object.entries(drops.egress)
      .map(([reason, egress]) => ({ reason, egress, ingress: drops.ingress[reason] ?? 0 }))
      .filter(({ egress, ingress }) => all || egress + ingress > 0)
      .map(({ reason, egress, ingress }) => [reason, String(egress), String(ingress)]);
    const countTable = renderTable([{ head: "counter" }, { head: "value", align: "right" }], countRows);
    const dropTable = renderTable(
      [{ head: "dropped because" }, { head: "egress", align: "right" }, { head: "ingress", align: "right" }],
      dropRows,
    );
    const kernelTable = renderTable(
      [{ head: "dropped by the kernel" }, { head: "packets", align: "right" }],
      kernelRows,
    );
    return [
      countRows.length > 0 ? countTable : "Nothing was counted yet.\n",
      dropRows.length > 0 ? dropTable : "Nothing was dropped.\n",
      ...(kernelRows.length > 0 ? [kernelTable] : []),
    ].join("\n");
  },
});
