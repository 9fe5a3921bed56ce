// Whether a proxy is alive and whether it is ready, from what its reports say. docs/observability.md says what each
// check means.

import type { HealthCheck, HealthReport, NodeReport, ReadyPeers, StatusReport } from "../../model/reports.ts";

/** Lost nodes that a sentence names. */
const NAMED_MAX = 5;

export interface HealthSource {
  status(): StatusReport;
  nodes(): readonly NodeReport[];
  /** Of each worker, undefined while there is none. */
  workerCpuMs(): readonly (number | undefined)[];
}

/** Alive: it answers, and each worker runs. */
export function livenessOf(source: HealthSource): HealthReport {
  return reportOf([workersCheck(source)]);
}

/** Ready: it serves packets. */
export function readinessOf(source: HealthSource, peers: ReadyPeers): HealthReport {
  const status = source.status();
  return reportOf([
    workersCheck(source),
    tablesCheck(status),
    tunCheck(status),
    ...(peers === "none" ? [] : [peersCheck(source.nodes(), peers)]),
  ]);
}

function reportOf(checks: readonly HealthCheck[]): HealthReport {
  return { ok: checks.every(({ ok }) => ok), checks };
}

function workersCheck(source: HealthSource): HealthCheck {
  const workers = source.workerCpuMs();
  const running = workers.filter((ms) => ms !== undefined).length;
  return { name: "workers", ok: running === workers.length, message: `${running} of ${workers.length} run` };
}

function tablesCheck({ generation }: StatusReport): HealthCheck {
  return { name: "tables", ok: generation > 0, message: `generation ${generation} is in force` };
}

function tunCheck({ tun, network }: StatusReport): HealthCheck {
  const { isUp, routes, problems } = network;
  const ok = isUp && problems.length === 0;
  const routed = routes.length > 0 ? routes.join(", ") : "nothing";
  const message = ok ? `${tun.name} is up, with ${routed} routed into it` : (problems[0] ?? `${tun.name} is down`);
  return { name: "tun", ok, message };
}

function peersCheck(nodes: readonly NodeReport[], peers: "any" | "all"): HealthCheck {
  const others = nodes.filter(({ isLocal }) => !isLocal);
  const lost = others.filter(({ state }) => state === "lost");
  const known = others.filter(({ state }) => state !== "unknown"); // those that answered a probe at some time
  const ok = lost.length === 0 || (peers === "any" && lost.length < known.length);
  const message =
    lost.length === 0
      ? `none of ${others.length} is lost`
      : `${lost.length} of ${others.length} are lost: ${lost
          .slice(0, NAMED_MAX)
          .map(({ id }) => id)
          .join(", ")}`;
  return { name: "peers", ok, message };
}
