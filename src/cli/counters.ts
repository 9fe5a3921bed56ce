// `sapwood counters`: what the data plane did, and what it dropped and why.

import type { CountersReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { rateText } from "./format.ts";
import { queryCommand } from "./query-command.ts";

export const countersCommand: Command = queryCommand<CountersReport>({
  name: "counters",
  summary: "show packets, flows and drops by reason since the start",
  options: [{ flags: "-a, --all", summary: "also what is 0" }],
  examples: [
    { line: "counters", does: "what happened so far" },
    { line: "counters --all", does: "every counter there is" },
    { line: "counters --watch", does: "with what is counted per second" },
    { line: "counters --json", does: "every counter, for a program" },
  ],
  path: () => "/v1/counters",
  async render(report, input, _columns, earlier) {
    const { renderTable } = await import("../base/text-table.ts");
    const { counters, drops, kernel } = report;
    const shown = (total: number): boolean => total > 0 || input.flag("all");
    const rateHead = earlier === undefined ? [] : [{ right: "per second" }];
    const rate = (now: number, before: (earlier: CountersReport) => number | undefined): string[] =>
      earlier === undefined ? [] : [rateText(((now - (before(earlier.report) ?? 0)) * 1000) / earlier.agoMs)];
    const countRows = Object.entries(counters)
      .filter(([, value]) => shown(value))
      .map(([name, value]) => [name, String(value), ...rate(value, (before) => before.counters[name])]);
    const kernelRows = Object.entries(kernel)
      .filter(([, value]) => shown(value))
      .map(([name, value]) => [name, String(value), ...rate(value, (before) => before.kernel[name])]);
    const sumOf = ({ drops: { egress, ingress } }: CountersReport, reason: string): number =>
      (egress[reason] ?? 0) + (ingress[reason] ?? 0);
    const dropRows = Object.entries(drops.egress)
      .map(([reason, egress]) => ({ reason, egress, ingress: drops.ingress[reason] ?? 0 }))
      .filter(({ egress, ingress }) => shown(egress + ingress))
      .map(({ reason, egress, ingress }) => [
        ...[reason, String(egress), String(ingress)],
        ...rate(egress + ingress, (before) => sumOf(before, reason)),
      ]);
    const countTable = renderTable(["counter", { right: "value" }, ...rateHead], countRows);
    const dropTable = renderTable(
      ["dropped because", { right: "egress" }, { right: "ingress" }, ...rateHead],
      dropRows,
    );
    const kernelTable = renderTable(["dropped by the kernel", { right: "packets" }, ...rateHead], kernelRows);
    return [
      countRows.length > 0 ? countTable : "Nothing was counted yet.\n",
      dropRows.length > 0 ? dropTable : "Nothing was dropped.\n",
      ...(kernelRows.length > 0 ? [kernelTable] : []),
    ].join("\n");
  },
});
