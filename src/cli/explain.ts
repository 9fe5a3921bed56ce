// `sapwood explain`: what would happen to a packet, and why.

import type { ExplanationReport } from "../model/explanation-report.ts";
import type { Command } from "./command.ts";
import { endpointText, orDash } from "./format.ts";
import { queryCommand } from "./query-command.ts";

const VERDICTS: Readonly<Record<ExplanationReport["verdict"], string>> = {
  sent: "goes to another node",
  delivered: "goes into the TUN, to a workload of this node",
  dropped: "is dropped",
  waits: "waits until its address is known",
  nothing: "leads to nothing",
};
const FLOWS: Readonly<Record<ExplanationReport["flow"], string>> = {
  known: "belongs to a flow that is there, or needs none",
  opened: "opens a new flow",
  none: "none",
};

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
  async render(report) {
    const { renderFields, renderTable } = await import("../base/text-table.ts");
    const { packet, verdict, drop, flow, choice, sent, written } = report;
    const end = (address: string, port: number | null): string =>
      port === null ? address : endpointText(address, port);
    const fields: [string, string][] = [
      ["from", end(packet.source, packet.sourcePort)],
      ["to", `${end(packet.destination, packet.destinationPort)} ${packet.protocol}`],
      ["verdict", VERDICTS[verdict]],
      ["flow", FLOWS[flow]],
    ];
    if (drop !== null) {
      fields.push(["reason", `${drop.reason}: ${drop.meaning ?? "see docs/counters.md"}`]);
      if (drop.advice !== null) fields.push(["what to do", drop.advice]);
    }
    for (const { source, destination, node, address, port, mtu } of sent) {
      fields.push(["sent as", `${source} to ${destination}`]);
      fields.push(["node", `${node ?? "unknown"} at ${endpointText(address, port)}, path MTU ${mtu ?? "not met"}`]);
    }
    for (const { source, destination } of written) fields.push(["written as", `${source} to ${destination}`]);
    if (choice === null) return renderFields(fields);
    fields.push(["policy", `${choice.policy ?? "the engine itself"}, for service ${choice.service ?? "unknown"}`]);
    const rows = choice.candidates.map((one) => [
      one.isChosen ? "*" : "",
      String(one.instance),
      one.node ?? "-",
      String(one.weight),
      String(one.flows),
      orDash(one.rttMs, (ms) => `${ms.toFixed(3)} ms`),
      orDash(one.distanceKm, (km) => `${km.toFixed(1)} km`),
      [one.isDraining ? "draining" : "", one.isHealthy ? "" : "node lost"].filter((text) => text !== "").join(", "),
    ]);
    const heads = ["", "instance", "node", "weight", "flows", "rtt", "distance", "state"];
    return `${text(renderFields(fields))}\n${text(
      renderTable(
        heads.map((head) => ({ head })),
        rows,
      ),
    )}`;
  },
});

function text(rendered: string | Iterable<string>): string {
  return typeof rendered === "string" ? rendered : [...rendered].join("");
}
