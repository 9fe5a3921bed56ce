// Which instances new flows avoid because openings failed, as the data plane finds out. Promises: what is in force is
// known within a tenth of a second; it is told once when an instance comes to be avoided, and once when that was over
// for a minute: one that stays dead is tried again after each pause, and is no news each time. Where nothing fails,
// nothing runs.

import {
  nextOutlierEpoch,
  type Outlier,
  type OutlierCauseName,
  outlierEpoch,
  readOutliers,
} from "../../memory/outliers.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { InstanceName } from "../tables/table-store.ts";
import type { PassiveState } from "./health-news.ts";

interface PassiveHealthOptions {
  readonly shared: SharedMemory;
  /** By the index of the record. */
  readonly names: () => ReadonlyMap<number, InstanceName>;
  /** Milliseconds of the workers' clock. */
  readonly nowMs: () => number;
  /** Instances, by their records, that refuse everybody at a port where they served before: what policies are told. */
  readonly onSuspects: (suspects: ReadonlySet<number>) => void;
  /** Undefined: it is not avoided any more. */
  readonly onChange: (instance: InstanceName, state: PassiveState | undefined) => void;
}

/** Of one instance. */
interface Known {
  readonly name: InstanceName;
  /** Undefined: it is not avoided at the moment. */
  state: PassiveState | undefined;
  sinceMs: number;
  /** When it was avoided last. */
  lastMs: number;
  /** The worst of what was told since it came to be avoided. */
  told: PassiveState["health"];
}

const LOOK_PAUSE_MS = 100;
const QUIET_MS = 60_000;
const SENTENCES: Readonly<Record<OutlierCauseName, string>> = {
  refused: "refused",
  unreachable: "could not be reached for",
  unanswered: "did not answer",
};

export class PassiveHealth {
  readonly #options: PassiveHealthOptions;
  readonly #known = new Map<string, Known>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: PassiveHealthOptions) {
    this.#options = options;
    void this.#watch();
  }

  /** Undefined: nothing speaks against the instance. */
  of(service: string, number: number): (PassiveState & { readonly sinceMs: number }) | undefined {
    const known = this.#known.get(keyOf(service, number));
    return known?.state === undefined ? undefined : { ...known.state, sinceMs: known.sinceMs };
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #watch(): Promise<void> {
    while (!this.#isClosed) {
      const epoch = outlierEpoch(this.#options.shared);
      this.look();
      await nextOutlierEpoch(this.#options.shared, epoch);
      await new Promise<void>((resolve) => setTimeout(resolve, LOOK_PAUSE_MS).unref()); // however often it changes
    }
  }

  look(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#timer);
    const { shared, names, nowMs, onSuspects } = this.#options;
    const outliers = readOutliers(shared, nowMs());
    if (outliers.length === 0 && this.#known.size === 0) return;
    onSuspects(new Set(outliers.filter(isSuspect).map(({ instance }) => instance)));
    const found = this.#statesOf(outliers, names());
    for (const [key, { name, state }] of found) this.#avoid(key, name, state);
    for (const [key, known] of this.#known) if (!found.has(key)) this.#end(key, known);
    if (this.#known.size === 0) return;
    const nextMs = Math.min(QUIET_MS, ...outliers.map(({ leftMs }) => leftMs + 1));
    this.#timer = setTimeout(() => this.look(), nextMs).unref();
  }

  #statesOf(outliers: readonly Outlier[], names: ReadonlyMap<number, InstanceName>) {
    const byInstance = new Map<number, Outlier[]>();
    for (const outlier of outliers) {
      const same = byInstance.get(outlier.instance);
      if (same === undefined) byInstance.set(outlier.instance, [outlier]);
      else same.push(outlier);
    }
    const states = new Map<string, { readonly name: InstanceName; readonly state: PassiveState }>();
    for (const [instance, found] of byInstance) {
      const name = names.get(instance);
      if (name !== undefined) states.set(keyOf(name.service, name.number), { name, state: stateOf(found, names) });
    }
    return states;
  }

  #avoid(key: string, name: InstanceName, state: PassiveState): void {
    const { nowMs, onChange } = this.#options;
    const known = this.#known.get(key);
    const now = nowMs();
    const isWorse = known?.told === "avoided" && state.health === "unhealthy";
    if (known === undefined || known.state?.health !== state.health) {
      const told = known === undefined || isWorse ? state.health : known.told;
      this.#known.set(key, { name, state, sinceMs: now, lastMs: now, told });
      if (known === undefined || isWorse) onChange(name, state);
      return;
    }
    known.state = state;
    known.lastMs = now;
  }

  #end(key: string, known: Known): void {
    known.state = undefined;
    if (this.#options.nowMs() - known.lastMs < QUIET_MS) return;
    this.#known.delete(key);
    this.#options.onChange(known.name, undefined);
  }
}

function isSuspect({ client, hasAnswered }: Outlier): boolean {
  return client === undefined && hasAnswered;
}

/** The worst of what is known, and how much else. */
function stateOf(outliers: readonly Outlier[], names: ReadonlyMap<number, InstanceName>): PassiveState {
  const worst = outliers.find(isSuspect) ?? outliers.find(({ client }) => client === undefined) ?? outliers[0];
  if (worst === undefined) throw new Error("an instance is avoided for no reason");
  const { client, protocol, port, cause, failures } = worst;
  const who = client === undefined ? undefined : names.get(client);
  const whose = who === undefined ? "several clients" : `client ${who.service}#${who.number}`;
  const others = outliers.length - 1;
  const more = others === 0 ? "" : `, and so ${others} more`;
  const what = `the last ${failures} flows of ${whose} to ${protocol} port ${port}${more}`;
  return { health: isSuspect(worst) ? "unhealthy" : "avoided", reason: `${SENTENCES[cause]} ${what}` };
}

function keyOf(service: string, number: number): string {
  return `${service}#${number}`;
}
