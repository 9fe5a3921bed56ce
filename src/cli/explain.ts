// `sapwood explain`: what would happen to a packet, and why.

import type { ExplanationReport } from "../model/explanation-report.ts";
import type { Command } from "./command.ts";
import { queryCommand } from "./query-command.ts";

export const explainCommand: Command = queryCommand<ExplanationReport>({
  name: "explain",
  summary: "say what would happen to a packet of a workload, and why; nothing is sent",
  arguments: [
    { name: "to", summary: "address, port and protocol: 10.30.0.2:80/tcp, [fdff::1]:53/udp, 10.30.0.2/icmp" },
  ],
  options: [{ flags: "--from <address>", summary: "the workload, with a port if need be (default: one of this node)" }],
  examples: [
    { line: "explain 10.30.0.2:80/tcp", does: "a new connection of a workload of this node" },
    { line: "explain 10.30.0.2:53/udp --from 10.18.0.2:5000", does: "the next datagram of a socket" },
    { line: "explain '[fdff:2000::1]:80' --json", does: "the same for a program" },
  ],
  path(input) {
    const from = input.optionalText("from");
    return `/v1/explain?${new URLSearchParams({ to: input.argument(0), ...(from !== undefined && { from }) })}`;
  },
  render: async (report) => (await import("./explanation-text.ts")).explanationText(report),
});
