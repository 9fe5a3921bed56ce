// What would happen to a packet, for people.

import { renderFields, renderTable } from "../base/text-table.ts";
import type { ExplanationReport } from "../model/explanation-report.ts";
import { endpointText, orDash } from "./format.ts";

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

type Field = readonly [name: string, value: string];

export function explanationText(report: ExplanationReport): string {
  const fields = [...packetFields(report), ["verdict", VERDICTS[report.verdict]] as const, ...resultFields(report)];
  const table = candidatesText(report);
  return table === "" ? renderFields(fields) : `${renderFields(fields)}\n${table}`;
}

export function packetFields({ packet }: Pick<ExplanationReport, "packet">): Field[] {
  const end = (address: string, port: number | null): string => (port === null ? address : endpointText(address, port));
  return [
    ["from", end(packet.source, packet.sourcePort)],
    ["to", `${end(packet.destination, packet.destinationPort)} ${packet.protocol}`],
  ];
}

/** What came of it, after its verdict. */
export function resultFields({ drop, flow, choice, sent, written }: ExplanationReport): Field[] {
  const fields: Field[] = [["flow", FLOWS[flow]]];
  if (drop !== null) {
    fields.push(["reason", `${drop.reason}: ${drop.meaning ?? "see docs/counters.md"}`]);
    if (drop.advice !== null) fields.push(["what to do", drop.advice]);
  }
  for (const { source, destination, node, address, port, mtu } of sent) {
    fields.push(["sent as", `${source} to ${destination}`]);
    fields.push(["node", `${node ?? "unknown"} at ${endpointText(address, port)}, path MTU ${mtu ?? "not met"}`]);
  }
  for (const { source, destination } of written) fields.push(["written as", `${source} to ${destination}`]);
  if (choice === null) return fields;
  const { policy, service, candidates } = choice;
  const isAnswered = policy === null || candidates.some(({ isChosen }) => isChosen);
  const asked = `${policy ?? "the engine itself"}, for service ${service ?? "unknown"}`;
  fields.push(["policy", isAnswered ? asked : `${asked}; it chose none of them`]);
  return fields;
}

/** The candidates with the numbers that the policy saw; "" when none was asked. */
export function candidatesText({ choice }: Pick<ExplanationReport, "choice">): string {
  if (choice === null) return "";
  const rows = choice.candidates.map((one) => [
    one.isChosen ? "*" : "",
    String(one.instance),
    one.node ?? "-",
    String(one.weight),
    String(one.flows),
    orDash(one.rttMs, (ms) => `${ms.toFixed(3)} ms`),
    orDash(one.distanceKm, (km) => `${km.toFixed(1)} km`),
    [one.isDraining ? "draining" : "", one.isHealthy ? "" : "unhealthy"].filter((text) => text !== "").join(", "),
  ]);
  return renderTable(["", "instance", "node", "weight", "flows", "rtt", "distance", "state"], rows);
}
