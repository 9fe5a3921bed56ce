// What is known of the health of each instance whose service asks for checks: of this node's by checks, of the others'
// by what their node says. Promises: an instance that is not in the tables any more, or is elsewhere, is known no more;
// each change is told once; services without checks cost nothing.

import type { InstanceHealthName } from "../../memory/instance-health.ts";
import type { Instance, Service, ServiceHealth } from "../../model/tables.ts";
import { isSameHealth } from "../tables/sameness.ts";
import type { ChangedServices } from "../tables/table-store.ts";

export interface CheckedInstance {
  readonly service: string;
  readonly instance: Instance;
  readonly settings: ServiceHealth;
  readonly isLocal: boolean;
  readonly index: number; // of its record
  readonly state: InstanceHealthName;
  /** When it became so. */
  readonly sinceMs: number;
  /** Why the last check failed, or the node said so; undefined as long as nothing did. */
  readonly reason: string | undefined;
}

interface Entry extends CheckedInstance {
  state: InstanceHealthName;
  sinceMs: number;
  reason: string | undefined;
  /** Checks in a row with the same result. */
  passed: number;
  failed: number;
}

interface HealthBookOptions {
  readonly nodeId: string;
  readonly indicesOf: (service: string) => readonly number[];
  readonly nowMs: () => number; // monotonic
  /** To be written to where the data plane sees it. */
  readonly onState: (index: number, state: InstanceHealthName) => void;
  readonly onChange: (instance: CheckedInstance, before: InstanceHealthName) => void;
  readonly onCome: (instance: CheckedInstance) => void;
  readonly onGo: (instance: CheckedInstance) => void;
}

export class HealthBook {
  readonly #options: HealthBookOptions;
  /** By service and number. */
  readonly #services = new Map<string, ReadonlyMap<number, Entry>>();

  constructor(options: HealthBookOptions) {
    this.#options = options;
  }

  /** To be called with each generation, before the next. */
  follow({ setServices, removeServices }: ChangedServices): void {
    for (const name of removeServices) this.#forget(name);
    for (const service of setServices) {
      if (service.health === undefined) this.#forget(service.name);
      else this.#followService(service, service.health);
    }
  }

  *all(): Generator<CheckedInstance> {
    for (const entries of this.#services.values()) yield* entries.values();
  }

  /** Undefined when the instance is not checked. */
  of(service: string, number: number): CheckedInstance | undefined {
    return this.#services.get(service)?.get(number);
  }

  /** A check of this node's; `failure` is undefined when it was passed. */
  noteCheck(checked: CheckedInstance, failure: string | undefined): void {
    const entry = this.#entryOf(checked);
    if (entry === undefined) return;
    entry.passed = failure === undefined ? entry.passed + 1 : 0;
    entry.failed = failure === undefined ? 0 : entry.failed + 1;
    const { healthy, unhealthy } = entry.settings;
    if (failure !== undefined && entry.failed >= unhealthy) this.#set(entry, "unhealthy", failure);
    // One that nothing is known of is used like a healthy one: a single check confirms it.
    else if (entry.passed >= (entry.state === "unknown" ? 1 : healthy)) this.#set(entry, "healthy", undefined);
  }

  /** The instance's node says so, or it cannot be said any more. */
  noteWord(checked: CheckedInstance, state: InstanceHealthName, reason: string | undefined): void {
    const entry = this.#entryOf(checked);
    if (entry !== undefined && !entry.isLocal) this.#set(entry, state, reason);
  }

  #forget(service: string): void {
    for (const entry of this.#services.get(service)?.values() ?? []) {
      this.#options.onState(entry.index, "unknown"); // it may stay, and be checked no more
      this.#options.onGo(entry);
    }
    this.#services.delete(service);
  }

  #followService(service: Service, settings: ServiceHealth): void {
    const before = this.#services.get(service.name) ?? new Map<number, Entry>();
    const indices = this.#options.indicesOf(service.name);
    const entries = new Map<number, Entry>();
    service.instances.forEach((instance, i) => {
      const index = indices[i];
      if (index === undefined) return;
      const known = before.get(instance.number);
      const isSame =
        known?.index === index && isSameHealth(known.settings, settings) && isSamePlace(known.instance, instance);
      entries.set(instance.number, isSame ? known : this.#newEntry(service.name, instance, settings, index));
    });
    for (const entry of before.values()) {
      if (entries.get(entry.instance.number) !== entry) this.#options.onGo(entry);
    }
    this.#services.set(service.name, entries);
    for (const entry of entries.values()) {
      if (before.get(entry.instance.number) === entry) continue;
      this.#options.onState(entry.index, "unknown"); // the record may be of an instance that moved
      this.#options.onCome(entry);
    }
  }

  #newEntry(service: string, instance: Instance, settings: ServiceHealth, index: number): Entry {
    const { nodeId, nowMs } = this.#options;
    return {
      ...{ service, instance, settings, index, isLocal: instance.node === nodeId },
      ...{ state: "unknown", sinceMs: nowMs(), reason: undefined, passed: 0, failed: 0 },
    };
  }

  /** Undefined for one that was dropped meanwhile. */
  #entryOf({ service, instance }: CheckedInstance): Entry | undefined {
    return this.#services.get(service)?.get(instance.number);
  }

  #set(entry: Entry, state: InstanceHealthName, reason: string | undefined): void {
    const before = entry.state;
    entry.reason = reason;
    if (before === state) return;
    entry.state = state;
    entry.sinceMs = this.#options.nowMs();
    this.#options.onState(entry.index, state);
    this.#options.onChange(entry, before);
  }
}

/** What was found out about the one holds for the other. */
function isSamePlace(a: Instance, b: Instance): boolean {
  return a.node === b.node && a.namespaceAddresses.join() === b.namespaceAddresses.join();
}
