// Finds out what happened by comparing what a proxy is like with what it was like a second ago. It needs nothing
// of the parts that it looks at, and tells a change once, however many packets met it.

import { CommonInterval } from "../../base/common-interval.ts";
import type { NewEvent } from "../../model/alarms.ts";
import type { ReloadReport } from "../../model/reports.ts";
import type { EventLog } from "./event-log.ts";

const LOOK_PAUSE_MS = 1000;

export interface NodeSituation {
  readonly state: "unknown" | "reachable" | "lost";
  readonly mtu: number | null;
}

interface ModuleSituation {
  readonly sha256: string | undefined; // undefined = there is no module
  readonly fault: { readonly at: Date; readonly message: string } | undefined;
}

/** What is compared. */
export interface Situation {
  readonly nodes: ReadonlyMap<string, NodeSituation>;
  readonly offloads: ReadonlyMap<string, { readonly on: boolean; readonly reason: string }>;
  readonly policies: ReadonlyMap<string, ModuleSituation>;
  readonly engine: ModuleSituation;
  readonly lastReload: ReloadReport | undefined;
  readonly workerRestarts: readonly number[];
  readonly network: { readonly repairs: number; readonly problems: readonly string[]; readonly lastRepair: string };
  /** Flows that were ended or refused because the table was full. */
  readonly flowsSqueezed: number;
}

export class EventWatch {
  readonly #look: () => Situation;
  readonly #log: EventLog;
  readonly #interval: CommonInterval;
  #known: Situation;

  constructor(look: () => Situation, log: EventLog) {
    this.#look = look;
    this.#log = log;
    this.#known = look();
    for (const event of refusedOffloads(new Map(), this.#known.offloads)) log.add(event);
    this.#interval = new CommonInterval(LOOK_PAUSE_MS, () => this.look());
  }

  look(): void {
    const found = this.#look();
    for (const event of whatHappened(this.#known, found)) this.#log.add(event);
    this.#known = found;
  }

  close(): void {
    this.#interval.close();
  }
}

export function whatHappened(before: Situation, now: Situation): NewEvent[] {
  return [
    ...nodeEvents(before.nodes, now.nodes),
    ...refusedOffloads(before.offloads, now.offloads),
    ...[...now.policies].flatMap(([name, policy]) =>
      moduleEvents("policy", name, before.policies.get(name) ?? NO_MODULE, policy),
    ),
    ...moduleEvents("engine", undefined, before.engine, now.engine),
    ...reloadEvents(before.lastReload, now.lastReload),
    ...workerEvents(before.workerRestarts, now.workerRestarts),
    ...networkEvents(before.network, now.network),
    ...flowTableEvents(before.flowsSqueezed, now.flowsSqueezed),
  ];
}

const NO_MODULE: ModuleSituation = { sha256: undefined, fault: undefined };

function nodeEvents(before: Situation["nodes"], now: Situation["nodes"]): NewEvent[] {
  return [...now].flatMap(([id, { state, mtu }]) => {
    const was = before.get(id);
    const events: NewEvent[] = [];
    if (state === "lost" && was?.state !== "lost") {
      const advice = `See whether node ${id} and its proxy run, and whether UDP to its tunnel port gets there.`;
      events.push({ kind: "node-lost", subject: id, message: `Node ${id} does not answer any more.`, advice });
    } else if (state === "reachable" && was?.state !== "reachable") {
      const message = `Node ${id} answers${was?.state === "lost" ? " again" : ""}.`;
      events.push({ kind: "node-found", subject: id, message });
    }
    if (mtu !== null && mtu !== (was?.mtu ?? null)) {
      const message = `Packets to node ${id} may have ${mtu} bytes, as probes found.`;
      const advice = "Nothing, unless it should be more: then look for a tunnel or a smaller MTU on the way.";
      events.push({ kind: "path-mtu", subject: id, message, advice });
    }
    return events;
  });
}

/** What was switched off on purpose is none. */
function refusedOffloads(before: Situation["offloads"], now: Situation["offloads"]): NewEvent[] {
  return [...now].flatMap(([name, { on, reason }]): NewEvent[] => {
    if (on || before.get(name)?.reason === reason || reason.startsWith("switched off")) return [];
    const message = `The offload ${name} is off: ${reason}.`;
    return [{ kind: "offload-refused", subject: name, message, advice: "Packets flow without it, at a higher cost." }];
  });
}

function moduleEvents(
  what: "policy" | "engine",
  name: string | undefined,
  before: ModuleSituation,
  now: ModuleSituation,
): NewEvent[] {
  const thing = name === undefined ? "The engine" : `The policy ${name}`;
  const events: NewEvent[] = [];
  if (now.sha256 !== before.sha256) {
    const message = now.sha256 === undefined ? `${thing} has no module any more.` : `${thing} is ${now.sha256} now.`;
    events.push({ kind: `${what}-swapped`, subject: name, message });
  }
  if (now.fault !== undefined && now.fault.at.getTime() !== before.fault?.at.getTime()) {
    const command = name === undefined ? "sapwood engine rollback" : `sapwood policy rollback ${name}`;
    const advice = `"${command}" puts the module before in force.`;
    events.push({ kind: `${what}-faulty`, subject: name, message: `${thing} failed: ${now.fault.message}.`, advice });
  }
  return events;
}

function reloadEvents(before: ReloadReport | undefined, now: ReloadReport | undefined): NewEvent[] {
  if (now === undefined || now === before) return [];
  const { ok, source, generation, error } = now;
  if (ok) return [{ kind: "tables-applied", message: `Generation ${generation} is in force, from ${source}.` }];
  const message = `A change from ${source} was refused: ${error?.message ?? "for an unknown reason"}`;
  return [{ kind: "reload-refused", message, advice: "Correct it and try again; the running tables stay until then." }];
}

function workerEvents(before: readonly number[], now: readonly number[]): NewEvent[] {
  return now.flatMap((restarts, worker): NewEvent[] => {
    if (restarts <= (before[worker] ?? 0)) return [];
    const message = `Worker ${worker} ended and was started again.`;
    return [{ kind: "worker-restarted", subject: `${worker}`, message, advice: "The log says why it ended." }];
  });
}

function networkEvents(before: Situation["network"], now: Situation["network"]): NewEvent[] {
  const events = now.problems
    .filter((problem) => !before.problems.includes(problem))
    .map(
      (message): NewEvent => ({ kind: "network-problem", message, advice: "Find out who changed it, and undo it." }),
    );
  if (now.problems.length === 0 && before.problems.length > 0) {
    events.push({
      kind: "recovered",
      subject: "network",
      message: "Nothing is wrong with the node's network any more.",
    });
  }
  if (now.repairs > before.repairs) {
    const message = `Somebody changed the node's network, and it was put back: ${now.lastRepair}.`;
    events.push({ kind: "network-repaired", message, advice: "Find out who changed it." });
  }
  return events;
}

function flowTableEvents(before: number, now: number): NewEvent[] {
  if (now <= before) return [];
  const message = `The flow table was full: ${now - before} flows were ended early or refused.`;
  const advice = 'Raise flows.limit, or find who opens so many ("sapwood flows").';
  return [{ kind: "flow-table-full", message, advice }];
}
