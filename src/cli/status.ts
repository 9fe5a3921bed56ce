// `sapwood status`: one look at a running proxy.

import type { ConfigReport, NetworkReport, ProviderReport, ReloadReport, StatusReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { countText, durationText, endpointText, mebibytesText } from "./format.ts";
import { queryCommand } from "./query-command.ts";

export const statusCommand: Command = queryCommand<StatusReport>({
  name: "status",
  summary: "show node, workers, offloads, usage and the last reload",
  examples: [
    { line: "status", does: "the proxy at the default socket" },
    { line: "status --socket /run/sapwood/b.sock", does: "another proxy on this machine" },
    { line: "status --json", does: "the same for a program" },
  ],
  path: () => "/v1/status",
  async render(status) {
    const { renderFields } = await import("../base/text-table.ts");
    const { tun, tunnel, flows, memory } = status;
    const restarts = status.workers.reduce((sum, worker) => sum + worker.restarts, 0);
    const offloads = status.offloads.map(({ name, on, reason }) => `${name} ${on ? "on" : `off (${reason})`}`);
    const tables = Object.entries(status.tables).map(([name, { used, limit }]) => `${name} ${used} of ${limit}`);
    return renderFields([
      ["node", status.node],
      ["version", `sapwood ${status.version}, process ${status.pid}, up ${durationText(status.uptimeMs)}`],
      ["generation", String(status.generation)],
      ["config", configText(status.config)],
      ["last reload", reloadText(status.lastReload)],
      ["workers", `${status.workers.length} (${countText(restarts, "restart")})`],
      ["tun", `${tun.name}, MTU ${tun.mtu}, ${countText(tun.queues, "queue")}`],
      [
        "tunnel",
        `UDP ${endpointText(tunnel.address, tunnel.port)}${tunnel.encryption === "none" ? "" : " inside WireGuard"}`,
      ],
      ["network", networkText(status.network)],
      ["offloads", offloads.join("\n")],
      ["flows", `${flows.used} of ${flows.limit}`],
      ["tables", tables.join("\n")],
      ["memory", `${mebibytesText(memory.rssBytes)} resident`],
      ...(status.provider === undefined ? [] : [[status.provider.name, providerText(status.provider)] as const]),
    ]);
  },
});

function networkText({ isUp, routes, problems, repairs, lastRepair }: NetworkReport): string {
  const lines = [`${isUp ? "up" : "down"}, ${routes.length === 0 ? "no route" : routes.join(", ")}`, ...problems];
  if (lastRepair !== undefined) {
    lines.push(`put back ${countText(repairs, "time")}, last ${lastRepair.at}: ${lastRepair.what.join(", ")}`);
  }
  return lines.join("\n");
}

function providerText(report: ProviderReport): string {
  const { worker, cluster, isConnected, interests, waitingMessages, oddRecords, oddMessages } = report;
  const odd = `left out of what the cluster said: ${countText(oddRecords, "odd record")}, ${countText(oddMessages, "odd message")}`;
  if (worker === null) return `not registered\n${odd}`;
  const broker = isConnected ? "connected" : `NOT connected, ${countText(waitingMessages, "message")} waiting`;
  return [`worker ${worker}, broker ${cluster} ${broker}`, countText(interests, "interest"), odd].join("\n");
}

function configText({ file, isFollowed, problem, refused, needRestart }: ConfigReport): string {
  const how = isFollowed ? "changes have effect" : "changes have NO effect";
  const lines = [problem === undefined ? `${file}, ${how}` : `${file}, ${how}:\n${problem}`];
  if (refused !== undefined) lines.push("REFUSED as it is now:", refused.message);
  if (needRestart !== undefined) lines.push(`takes effect at the next start: ${needRestart.join(", ")}`);
  return lines.join("\n");
}

function reloadText(reload: ReloadReport | undefined): string {
  if (reload === undefined) return "none since the start";
  const { at, source, ok, generation, error, needRestart } = reload;
  const outcome = ok ? `applied as generation ${generation}` : `refused, generation ${generation} stays in force`;
  const lines = [`${at}, ${source}`, outcome];
  if (error !== undefined) lines.push(error.message);
  if (needRestart.length > 0) lines.push(`takes effect at the next start: ${needRestart.join(", ")}`);
  return lines.join("\n");
}
