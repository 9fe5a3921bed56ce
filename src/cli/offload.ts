// `sapwood offload`: what the kernel takes over from a running proxy, and switches for it.

import type { OffloadReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { printReport, queryCommand } from "./query-command.ts";

const ROUTE = "/v1/offloads";

const shown = queryCommand<readonly OffloadReport[]>({
  name: "offload",
  summary: "show the offloads, or switch one on or off until the proxy ends",
  arguments: [
    { name: "name", summary: "tun-tcp, tun-udp, udp-gso or udp-gro", isOptional: true },
    { name: "on|off", summary: "what it shall be", isOptional: true },
  ],
  examples: [
    { line: "offload", does: "every offload, and why it is off" },
    { line: "offload tun-udp off", does: "no UDP super-packets on the TUN any more" },
    { line: "offload tun-udp on", does: "again, where the kernel can" },
  ],
  path: () => ROUTE,
  render: (offloads) => offloadTable(offloads),
});

export const offloadCommand: Command = {
  ...shown,
  group: "Change a running proxy",
  async run(input, terminal) {
    const name = input.optionalArgument(0);
    if (name === undefined) return shown.run(input, terminal);
    const [{ postText }, { watchInterval }, { SapwoodError }] = await Promise.all([
      import("./client.ts"),
      import("./watch.ts"),
      import("../base/errors.ts"),
    ]);
    const state = input.optionalArgument(1);
    if (state !== "on" && state !== "off") {
      throw new SapwoodError("usage", `"sapwood offload ${name}" expects "on" or "off"; found ${state ?? "nothing"}.`);
    }
    if (watchInterval(input) !== undefined) {
      throw new SapwoodError("usage", `"sapwood offload ${name} ${state}" is done once: expected no --watch.`);
    }
    const order = JSON.stringify({ name, on: state === "on" });
    const offloads = await postText<readonly OffloadReport[]>(input.text("socket"), ROUTE, order);
    await printReport(offloads, input, terminal, offloadTable);
  },
};

async function offloadTable(offloads: readonly OffloadReport[]): Promise<string> {
  const { renderTable } = await import("../base/text-table.ts");
  const rows = offloads.map((offload) => [offload.name, offload.on ? "on" : "off", offload.reason]);
  return renderTable(["offload", "state", "reason"], rows);
}
