// The demonstration's outcome as text for people and as the object of `sapwood lab --json`.

import { renderTable } from "../base/text-table.ts";
import type { RequestOutcome } from "./demo.ts";
import type { Topology } from "./topology.ts";

/** One object, one line. */
export function jsonReport(outcomes: readonly RequestOutcome[]): string {
  const requests = outcomes.map(({ address, policy, instance, node, inner, answeredFrom, ok }) => {
    return { address, policy, instance, node, inner, answeredFrom, ok };
  });
  return `${JSON.stringify({ ok: allOk(outcomes), requests })}\n`;
}

export function allOk(outcomes: readonly RequestOutcome[]): boolean {
  return outcomes.every(({ ok }) => ok);
}

/** A table of the requests, then what went wrong, then the verdict. */
export function textReport(outcomes: readonly RequestOutcome[], isEncrypted = false): string {
  const table = renderTable(
    [
      "",
      "A 1 called",
      "policy",
      "reached",
      `inner packet ${isEncrypted ? "inside WireGuard" : "on the underlay"}`,
      "answered from",
      "",
    ],
    outcomes.map(({ number, address, policy, instance, node, inner, answeredFrom, ok }) => {
      const reached = instance === "" ? "nobody" : `${instance} on ${node}`;
      const packet = `${inner.src} > ${inner.dst}`;
      return [String(number), address, policy, reached, packet, answeredFrom, ok ? "ok" : "FAILED"];
    }),
  );
  const faults = outcomes.flatMap(({ number, address, faults }) => {
    return faults.map((fault) => `  request ${number} to ${address}: ${fault}\n`);
  });
  const verdict = allOk(outcomes)
    ? `All requests did what their address promises${isEncrypted ? ", and nothing readable was on the underlay" : ""}.\n`
    : `${outcomes.filter(({ ok }) => !ok).length} of ${outcomes.length} requests did not do what their address promises.\n`;
  return `${table}\n${faults.join("")}${verdict}`;
}

/** What is up, before the requests are played. */
export function topologyText({ nodes, workloads }: Topology, nameOf: (workload: string) => string): string {
  return renderTable(
    ["workload", "node", "namespace addresses", "underlay"],
    workloads.map(({ name, node, addresses }) => {
      const underlay = nodes.find(({ id }) => id === node)?.underlay;
      return [nameOf(name), node, `${addresses.v4}  ${addresses.v6}`, underlay?.v4 ?? ""];
    }),
  );
}
