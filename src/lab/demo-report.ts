// The demonstration's outcome as text for people and as the object of `sapwood lab --json`.
import Table from "cli-table3";
import { builtFile } from "./build-paths.ts";
import type { RequestOutcome } from "./demo.ts";
import type { Lab } from "./lab.ts";
import { Sandbox } from "./sandbox.ts";
import type { Topology } from "./topology.ts";

/** No colours, and no rules between the rows. */
const PLAIN = {
  style: { head: [], border: [] },
  chars: { "mid": "", "left-mid": "", "mid-mid": "", "right-mid": "" },
};

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
  const table = new Table({
    head: [
      "",
      "A 1 CALLED",
      "POLICY",
      "REACHED",
      `INNER PACKET ${isEncrypted ? "INSIDE WIREGUARD" : "ON THE UNDERLAY"}`,
      "ANSWERED FROM",
      "",
    ],
    ...PLAIN,
  });
  for (const { number, address, policy, instance, node, inner, answeredFrom, ok } of outcomes) {
    const reached = instance === "" ? "nobody" : `${instance} on ${node}`;
    table.push([number, address, policy, reached, `${inner.src} > ${inner.dst}`, answeredFrom, ok ? "ok" : "FAILED"]);
  }
  const faults = outcomes.flatMap(({ number, address, faults }) => {
    return faults.map((fault) => `  request ${number} to ${address}: ${fault}\n`);
  });
  const verdict = allOk(outcomes)
    ? `All requests did what their address promises${isEncrypted ? ", and nothing readable was on the underlay" : ""}.\n`
    : `${outcomes.filter(({ ok }) => !ok).length} of ${outcomes.length} requests did not do what their address promises.\n`;
  return `${table.toString()}\n${faults.join("")}${verdict}`;
}

/** What is up, before the requests are played. */
export function topologyText({ nodes, workloads }: Topology, nameOf: (workload: string) => string): string {
  const table = new Table({
    head: ["WORKLOAD", "NODE", "NAMESPACE ADDRESSES", "UNDERLAY"],
    ...PLAIN,
  });
  for (const { name, node, addresses } of workloads) {
    const underlay = nodes.find(({ id }) => id === node)?.underlay;
    table.push([nameOf(name), node, `${addresses.v4}  ${addresses.v6}`, underlay?.v4 ?? ""]);
  }
  return `${table.toString()}\n`;
}

/** How to enter a lab that is kept, from a shell of the same user. */
export function entryText({ sandbox, topology }: Lab, socketOf: (node: string) => string): string {
  const enter = ["nsenter", "--target", String(sandbox.hostPid)];
  if (Sandbox.needsUserNamespace) enter.push("--user", "--preserve-credentials");
  const prefix = [...enter, "--mount", "--"].join(" ");
  const names = [...topology.workloads.map(({ name }) => name), ...topology.nodes.map(({ id }) => id)];
  const width = Math.max(...names.map((name) => name.length));
  const shells = names.map((name) => `  ${name.padEnd(width)}  ${prefix} nsenter --net=/run/netns/${name} bash\n`);
  const [node] = topology.nodes;
  const sapwood = `${process.execPath} ${builtFile("src/main.js")}`; // it need not be installed
  return [
    "\nThe lab stays up. A shell in each workload and node:\n",
    ...shells,
    "\nIn a1, say:\n",
    "  curl 'http://[fdff:2000::1]/'\n",
    node === undefined ? "" : `In ${node.id}, say:\n  ${sapwood} flows --socket ${socketOf(node.id)}\n`,
    "\nCtrl-C ends the lab and removes everything.\n",
  ].join("");
}
