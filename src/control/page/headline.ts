// Whether all is well, and what is not: one sentence for each thing that a person should know of, the worst first.

import type { EngineReport, PolicyReport } from "../../model/module-reports.ts";
import type { Headline, HeadlineReason, Mood } from "../../model/page-reports.ts";
import type { NodeReport, StatusReport } from "../../model/reports.ts";
import type { IndexedService } from "./table-index.ts";

const NAMED_MAX = 3;
/** Part of a table that is in use. */
const NEARLY_FULL = 0.9;
/** Some packets are always dropped: scans, late answers. */
const DROP_RATIO = 0.01;
const DROPS_PER_SECOND = 5;
const GRAVITY: Readonly<Record<Mood, number>> = { bad: 2, warning: 1, well: 0 };

interface UnhealthyInstance {
  readonly service: string;
  readonly number: number;
  readonly reason: string | null; // why its last check failed
}

export interface Condition {
  readonly status: StatusReport;
  readonly nodes: readonly NodeReport[];
  readonly policies: readonly PolicyReport[];
  readonly engine: EngineReport;
  /** Of each worker, undefined while there is none. */
  readonly workerCpuMs: readonly (number | undefined)[];
  readonly services: readonly IndexedService[];
  readonly unhealthy: readonly UnhealthyInstance[];
  readonly drops: { readonly perSecond: number; readonly ratio: number; readonly reason: string | undefined };
}

export function headlineOf(condition: Condition): Headline {
  const reasons = [
    ...workerReasons(condition),
    ...networkReasons(condition),
    ...nodeReasons(condition),
    ...serviceReasons(condition),
    ...healthReasons(condition),
    ...moduleReasons(condition),
    ...configReasons(condition),
    ...roomReasons(condition),
    ...dropReasons(condition),
  ].sort((a, b) => GRAVITY[b.mood] - GRAVITY[a.mood]);
  return { mood: reasons[0]?.mood ?? "well", reasons };
}

function workerReasons({ workerCpuMs }: Condition): HeadlineReason[] {
  const running = workerCpuMs.filter((ms) => ms !== undefined).length;
  if (running === workerCpuMs.length) return [];
  const text = `Only ${running} of ${workerCpuMs.length} workers run; the others are being started again.`;
  return [{ mood: "bad", text, view: "events" }];
}

function networkReasons({ status: { network, tun } }: Condition): HeadlineReason[] {
  if (!network.isUp) return [{ mood: "bad", text: `The TUN ${tun.name} is down: no packet passes.`, view: "events" }];
  return network.problems.map((problem): HeadlineReason => ({ mood: "bad", text: sentence(problem), view: "events" }));
}

/** A node of another make answers no probes, and is not said to be lost. */
function nodeReasons({ nodes }: Condition): HeadlineReason[] {
  const others = nodes.filter(({ isLocal }) => !isLocal);
  const lost = others.filter(({ state }) => state === "lost").map(({ id }) => id);
  if (lost.length === 0) return [];
  const isAlone = !others.some(({ state }) => state === "reachable");
  const which = lost.length === 1 ? `Node ${lost[0]} does` : `${lost.length} of ${others.length} nodes do`;
  const text = `${which} not answer${lost.length === 1 ? "" : `: ${named(lost)}`}.`;
  return [{ mood: isAlone ? "bad" : "warning", text, view: "nodes" }];
}

/** An instance can be chosen as long as its node may answer and it is not draining. */
function serviceReasons({ services, nodes }: Condition): HeadlineReason[] {
  const lost = new Set(nodes.filter(({ state }) => state === "lost").map(({ id }) => id));
  const without = services
    .map(({ service }) => service)
    .filter(({ addresses, instances }) => addresses.length > 0 && !instances.some(isUsable));
  function isUsable({ node, draining }: { readonly node: string; readonly draining: boolean }): boolean {
    return !draining && !lost.has(node);
  }
  if (without.length === 0) return [];
  const names = named(without.map(({ name }) => name));
  const text =
    without.length === 1
      ? `Service ${names} has no instance that can be reached and takes new flows.`
      : `${without.length} services have no instance that can be reached and takes new flows: ${names}.`;
  return [{ mood: "bad", text, view: "services" }];
}

function healthReasons({ unhealthy }: Condition): HeadlineReason[] {
  const [first] = unhealthy;
  if (first === undefined) return [];
  const names = named(unhealthy.map(({ service, number }) => `${service} ${number}`));
  const why = first.reason === null ? "." : `: ${sentence(first.reason)}`;
  const text =
    unhealthy.length === 1
      ? `Instance ${names} is unhealthy${why}`
      : `${unhealthy.length} instances are unhealthy: ${names}.`;
  return [{ mood: "warning", text, view: "services" }];
}

function moduleReasons({ policies, engine }: Condition): HeadlineReason[] {
  const faulty = policies
    .filter(({ state }) => state === "faulty")
    .map(({ name, lastError }): HeadlineReason => {
      const text = `The policy ${name} failed: ${sentence(lastError?.message ?? "for an unknown reason")}`;
      return { mood: "warning", text, view: "policies" };
    });
  if (engine.lastError === null) return faulty;
  const text = `The engine failed, and the one before is in force: ${sentence(engine.lastError.message)}`;
  return [...faulty, { mood: "warning", text, view: "events" }];
}

function configReasons({ status: { config } }: Condition): HeadlineReason[] {
  const reasons: HeadlineReason[] = [];
  if (config.refused !== undefined) {
    const text = `The last change of the configuration file was refused, and the tables before stay: ${firstLine(config.refused.message)}`;
    reasons.push({ mood: "warning", text, view: "events" });
  }
  if (config.problem !== undefined) {
    const text = `The configuration file is not followed as it should be: ${sentence(config.problem)}`;
    reasons.push({ mood: "warning", text, view: "events" });
  }
  return reasons;
}

function roomReasons({ status: { flows, tables } }: Condition): HeadlineReason[] {
  const tablesFull = Object.entries({ flows, ...tables }).filter(
    ([, { used, limit }]) => limit > 0 && used >= NEARLY_FULL * limit && limit > 1,
  );
  return tablesFull.map(([table, { used, limit }]): HeadlineReason => {
    const text = `The table of ${table} is nearly full: ${used} of ${limit} are in use.`;
    return { mood: used >= limit ? "bad" : "warning", text, view: table === "flows" ? "flows" : "services" };
  });
}

function dropReasons({ drops: { perSecond, ratio, reason } }: Condition): HeadlineReason[] {
  if (perSecond < DROPS_PER_SECOND || ratio < DROP_RATIO) return [];
  const why = reason === undefined ? "" : `, mostly as ${reason}`;
  const text = `${Math.round(perSecond)} packets a second are dropped (${(100 * ratio).toFixed(1)} %)${why}.`;
  return [{ mood: "warning", text, view: "drops" }];
}

function named(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_MAX).join(", ");
  return names.length > NAMED_MAX ? `${shown} and ${names.length - NAMED_MAX} more` : shown;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function firstLine(text = "for an unknown reason"): string {
  return sentence(text.split("\n")[0] ?? "");
}
