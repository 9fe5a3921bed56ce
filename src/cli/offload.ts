// `sapwood offload`: what the kernel takes over from a running proxy, and switches for it.

import type { OffloadReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { JSON_OPTION, printJson, SOCKET_OPTION } from "./query-command.ts";

const ROUTE = "/v1/offloads";

export const offloadCommand: Command = {
  name: "offload",
  group: "Change a running proxy",
  summary: "show the offloads, or switch one on or off until the proxy ends",
  arguments: [
    { name: "name", summary: "tun-tcp, tun-udp, udp-gso or udp-gro", isOptional: true },
    { name: "on|off", summary: "what it shall be", isOptional: true },
  ],
  options: [SOCKET_OPTION, JSON_OPTION],
  examples: [
    { line: "offload", does: "every offload, and why it is off" },
    { line: "offload tun-udp off", does: "no UDP super-packets on the TUN any more" },
    { line: "offload tun-udp on", does: "again, where the kernel can" },
  ],
  async run(input, terminal) {
    const [{ fetchReport, postText }, { SapwoodError }, { renderTable }] = await Promise.all([
      import("./client.ts"),
      import("../base/errors.ts"),
      import("../base/text-table.ts"),
    ]);
    const socket = input.text("socket");
    const name = input.optionalArgument(0);
    const state = input.optionalArgument(1);
    if (name !== undefined && state !== "on" && state !== "off") {
      throw new SapwoodError("usage", `"sapwood offload ${name}" expects "on" or "off"; found ${state ?? "nothing"}.`);
    }
    const order = name === undefined ? undefined : { name, on: state === "on" };
    const offloads =
      order === undefined
        ? await fetchReport<readonly OffloadReport[]>(socket, ROUTE)
        : await postText<readonly OffloadReport[]>(socket, ROUTE, JSON.stringify(order));
    const rows = offloads.map((offload) => [offload.name, offload.on ? "on" : "off", offload.reason]);
    if (input.flag("json")) await printJson(offloads, terminal);
    else terminal.print(renderTable([{ head: "offload" }, { head: "state" }, { head: "reason" }], rows));
  },
};
