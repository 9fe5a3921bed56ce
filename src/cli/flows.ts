// `sapwood flows`: which client is connected to which instance.

import type { TextTable } from "../base/text-table.ts";
import { FLOW_PROTOCOLS } from "../model/flow-protocols.ts";
import type { FlowReport, FlowsReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { durationText, endpointText, orDash } from "./format.ts";
import { queryCommand } from "./query-command.ts";

export const flowsCommand: Command = queryCommand<FlowsReport>({
  name: "flows",
  summary: "list live flows with instance and state",
  options: [
    { flags: "-n, --limit <count>", summary: "show at most this many (default: 100)", isCount: true },
    { flags: "--service <name>", summary: "only flows to instances of this service" },
    { flags: "--protocol <name>", summary: "only flows of this protocol", choices: FLOW_PROTOCOLS },
  ],
  examples: [
    { line: "flows", does: "the first 100 flows" },
    { line: "flows --service web --protocol tcp", does: "TCP connections to one service" },
    { line: "flows --limit 100000 --json", does: "all of them, for a program" },
  ],
  path(input) {
    const query = new URLSearchParams();
    const limit = input.count("limit");
    const service = input.optionalText("service");
    const protocol = input.optionalText("protocol");
    if (limit !== undefined) query.set("limit", String(limit));
    if (service !== undefined) query.set("service", service);
    if (protocol !== undefined) query.set("protocol", protocol);
    return query.size === 0 ? "/v1/flows" : `/v1/flows?${query}`;
  },
  async render({ flows, matching }, _input, columns) {
    if (flows.length === 0) return "No flows.\n";
    const { TextTable } = await import("../base/text-table.ts");
    const tableWith = (arrow: string) =>
      new TextTable(
        ["proto", `client${arrow}called`, "instance", "node", "state", { right: "idle" }, { right: "packets" }],
        flows.map((flow) => flowCells(flow, arrow)),
      );
    const flat = tableWith(" -> ");
    const isTooWide = columns !== undefined && flat.width > columns;
    return withRest(isTooWide ? tableWith("\n-> ") : flat, matching - flows.length);
  },
});

function* withRest(table: TextTable, rest: number): Generator<string> {
  yield* table.pieces();
  if (rest > 0) yield `... and ${rest} more (--limit shows more).\n`;
}

function flowCells(flow: FlowReport, arrow: string): string[] {
  return [
    flow.protocol,
    endText(flow.client, flow.clientPort) + arrow + endText(flow.called, flow.calledPort),
    flow.service === null ? "gone" : `${flow.service}#${flow.instance}`,
    orDash(flow.node, String),
    stateText(flow.state),
    durationText(flow.idleMs),
    `${flow.forwardPackets}/${flow.reversePackets}`,
  ];
}

function endText(address: string, port: number): string {
  return port === 0 ? address : endpointText(address, port);
}

/** "tcpHalfClosed" -> "half closed": the protocol has its own column. */
function stateText(state: string): string {
  return state
    .replace(/^(tcp|udp|icmp|other)/, "")
    .replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter}`)
    .toLowerCase();
}
