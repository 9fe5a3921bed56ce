// `sapwood nodes`: this node and the others, with what the probes measured.

import type { NodeReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { durationText, endpointText, orDash } from "./format.ts";
import { queryCommand } from "./query-command.ts";

/** Characters that a line needs for all columns. */
const WIDE = 96;

export const nodesCommand: Command = queryCommand<readonly NodeReport[]>({
  name: "nodes",
  summary: "list the nodes with their state, round-trip time and distance",
  examples: [
    { line: "nodes", does: "which nodes answer, and how fast" },
    { line: "nodes --json", does: "the same for a program" },
  ],
  path: () => "/v1/nodes",
  async render(nodes, _input, columns = WIDE) {
    const isWide = columns >= WIDE;
    const { TextTable } = await import("../base/text-table.ts");
    const table = new TextTable(
      [
        "node",
        "underlay",
        "state",
        ...(isWide ? [{ right: "since" }, "encryption"] : []),
        { right: "rtt" },
        { right: "distance" },
        ...(isWide ? [{ right: "last reply" }] : []),
        { right: "path MTU" },
        { right: "instances" },
      ],
      nodes.map((row) => [
        row.isLocal ? `${row.id} (this)` : row.id,
        endpointText(row.underlay.address, row.underlay.port),
        row.state,
        ...(isWide ? [orDash(row.stateAgeMs, durationText), row.encryption] : []),
        orDash(row.rttMs, (rttMs) => `${rttMs.toFixed(3)} ms`),
        orDash(row.distanceKm, (distanceKm) => `${distanceKm.toFixed(1)} km`),
        ...(isWide ? [orDash(row.lastReplyAgeMs, (ageMs) => `${durationText(ageMs)} ago`)] : []),
        orDash(row.mtu, String),
        String(row.instances),
      ]),
    );
    return table.pieces();
  },
});
