// Tells which instances became unhealthy and which recovered, as events and in the log. Promises: each change is told
// once; of very many at the same time, some are told and the rest is counted.

import type { Logger } from "../../base/log.ts";
import type { InstanceHealthName } from "../../memory/instance-health.ts";
import type { EventKind } from "../../model/reports.ts";
import type { InstanceName } from "../tables/table-store.ts";
import type { CheckedInstance } from "./health-book.ts";

export interface HealthEvent {
  readonly kind: Extract<EventKind, "instance-healthy" | "instance-unhealthy" | "instance-avoided">;
  readonly subject?: string;
  readonly message: string; // one sentence
  readonly advice?: string;
}

/** What openings met at an instance that is avoided: for everybody, or by some clients. */
export interface PassiveState {
  readonly health: "unhealthy" | "avoided";
  readonly reason: string; // end of a sentence about the instance
}

interface HealthNewsOptions {
  /** False when it was left out, because too many came: then the log leaves it out as well. */
  readonly tell: (event: HealthEvent) => boolean;
  readonly log: Logger;
}

/** Changes within this time are told together. */
const TOGETHER_MS = 250;
/** Of one kind, that are told one by one. */
const SINGLE_MAX = 10;
const BECAME: Readonly<Record<HealthEvent["kind"], string>> = {
  "instance-unhealthy": "unhealthy",
  "instance-avoided": "avoided",
  "instance-healthy": "healthy again",
};

export class HealthNews {
  readonly #options: HealthNewsOptions;
  readonly #untold: HealthEvent[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: HealthNewsOptions) {
    this.#options = options;
  }

  add(checked: CheckedInstance, before: InstanceHealthName): void {
    const event = eventOf(checked, before);
    if (event !== undefined) this.#add(event);
  }

  /** Without a state it is not avoided any more. */
  addPassive(instance: InstanceName, state: PassiveState | undefined): void {
    this.#add(passiveEventOf(instance, state));
  }

  #add(event: HealthEvent): void {
    this.#untold.push(event);
    this.#timer ??= setTimeout(() => this.#tell(), TOGETHER_MS).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#tell();
  }

  #tell(): void {
    this.#timer = undefined;
    const events = this.#untold.splice(0);
    for (const kind of ["instance-unhealthy", "instance-avoided", "instance-healthy"] as const) {
      const same = events.filter((event) => event.kind === kind);
      for (const event of same.slice(0, SINGLE_MAX)) this.#tellOne(event);
      const rest = same.length - SINGLE_MAX;
      if (rest <= 0) continue;
      this.#tellOne({
        kind,
        message: `${rest} more instances are ${BECAME[kind]}.`,
        advice: 'See "sapwood instances".',
      });
    }
  }

  #tellOne(event: HealthEvent): void {
    const { tell, log } = this.#options;
    if (!tell(event)) return;
    if (event.kind !== "instance-healthy") log.warn({ instance: event.subject }, event.message);
    else log.info({ instance: event.subject }, event.message);
  }
}

/** That an instance is healthy from the start, or is not spoken of any more, is no news. */
function eventOf(
  { service, instance: { number, node }, state, reason, isLocal }: CheckedInstance,
  before: InstanceHealthName,
): HealthEvent | undefined {
  const subject = `${service}#${number}`;
  if (state === "unhealthy") {
    const message = `Instance ${subject} on ${node} is unhealthy: it ${reason ?? "failed its checks"}.`;
    const advice = isLocal
      ? "See whether its workload runs and serves; it gets no new connections while others are healthy."
      : `See on node ${node}, whose proxy checks it; it gets no new connections while others are healthy.`;
    return { kind: "instance-unhealthy", subject, message, advice };
  }
  if (before !== "unhealthy" || state !== "healthy") return undefined;
  return { kind: "instance-healthy", subject, message: `Instance ${subject} on ${node} is healthy again.` };
}

function passiveEventOf({ service, number, node }: InstanceName, state: PassiveState | undefined): HealthEvent {
  const subject = `${service}#${number}`;
  const name = `Instance ${subject} on ${node}`;
  if (state === undefined) return { kind: "instance-healthy", subject, message: `${name} is not avoided any more.` };
  const { health, reason } = state;
  return {
    kind: `instance-${health}`,
    subject,
    message: `${name} is ${health}: it ${reason}.`,
    advice:
      health === "unhealthy"
        ? "See whether its workload runs and serves; new flows go elsewhere, and it is tried again after a pause."
        : "See whether its workload serves at that port; new flows of the client go elsewhere, and it is tried again after a pause.",
  };
}
