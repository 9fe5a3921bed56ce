// The health of instances: checks those of this node, hears of the others', and says what is known of each to the data
// plane and to who asks.

import type { Logger } from "../../base/log.ts";
import { type InstanceHealthName, writeInstanceHealth } from "../../memory/instance-health.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { InstanceReport } from "../../model/reports.ts";
import type { Instance, ServiceHealth } from "../../model/tables.ts";
import type { TableStore } from "../tables/table-store.ts";
import { CheckSchedule, type Subject } from "./check-schedule.ts";
import { type CheckedInstance, HealthBook } from "./health-book.ts";
import { type CheckResult, checkHttp, checkIcmp, checkTcp } from "./health-check.ts";
import { type HealthEvent, HealthNews } from "./health-news.ts";
import { PassiveHealth } from "./passive-health.ts";
import { PeerHealth } from "./peer-health.ts";
import { ToldHealth } from "./told-health.ts";

interface InstanceHealthOptions {
  readonly nodeId: string;
  readonly shared: SharedMemory;
  readonly store: Pick<TableStore, "snapshot" | "instanceIndices" | "instanceNames" | "nodeIndex" | "onChange">;
  /** Milliseconds of the workers' clock. */
  readonly workersMs: () => number;
  readonly tell: (event: HealthEvent) => boolean;
  readonly log: Logger;
}

export class InstanceHealth {
  readonly #book: HealthBook;
  readonly #schedule = new CheckSchedule();
  readonly #subjects = new Map<CheckedInstance, Subject>();
  readonly #news: HealthNews;
  readonly #told: ToldHealth;
  readonly #peers: PeerHealth;
  readonly #passive: PassiveHealth;
  /** Of the instances, by their records: what is written is what checks say, else what flows met. */
  readonly #checked = new Map<number, InstanceHealthName>();
  readonly #shared: SharedMemory;
  readonly #workersMs: () => number;
  #suspects: ReadonlySet<number> = new Set();
  #isClosed = false;

  constructor({ nodeId, shared, store, workersMs, tell, log }: InstanceHealthOptions) {
    this.#shared = shared;
    this.#workersMs = workersMs;
    this.#news = new HealthNews({ tell, log });
    this.#told = new ToldHealth(shared, () => this.#book.all());
    this.#peers = new PeerHealth({
      shared,
      nodeIndex: (id) => store.nodeIndex(id),
      onWord: (checked, state, reason) => this.#book.noteWord(checked, state, reason),
    });
    this.#book = new HealthBook({
      ...{ nodeId, nowMs: () => performance.now() },
      indicesOf: (service) => store.instanceIndices(service),
      onState: (index, state) => {
        if (state === "unknown") this.#checked.delete(index);
        else this.#checked.set(index, state);
        this.#write(index);
      },
      onChange: (checked, before) => {
        this.#news.add(checked, before);
        if (checked.isLocal) this.#told.change();
      },
      onCome: (checked) => this.#begin(checked),
      onGo: (checked) => this.#end(checked),
    });
    store.onChange((changed) => {
      if (!this.#isClosed) this.#book.follow(changed);
    });
    this.#book.follow({ setServices: store.snapshot().services, removeServices: [] });
    this.#passive = new PassiveHealth({
      shared,
      names: () => store.instanceNames(),
      nowMs: workersMs,
      onSuspects: (suspects) => this.#suspect(suspects),
      onChange: (instance, state) => {
        if (this.#isUnchecked(instance.service, instance.number)) this.#news.addPassive(instance, state);
      },
    });
  }

  reportOf(service: string, number: number): Pick<InstanceReport, "health" | "healthAgeMs" | "healthReason"> {
    const known = this.#book.of(service, number);
    const passive = this.#isUnchecked(service, number) ? this.#passive.of(service, number) : undefined;
    if (passive !== undefined) {
      const healthAgeMs = Math.max(0, this.#workersMs() - passive.sinceMs);
      return { health: passive.health, healthAgeMs, healthReason: passive.reason };
    }
    if (known === undefined) return { health: "unchecked", healthAgeMs: null, healthReason: null };
    const healthAgeMs = Math.max(0, performance.now() - known.sinceMs);
    return { health: known.state, healthAgeMs, healthReason: known.reason ?? null };
  }

  close(): void {
    this.#isClosed = true;
    this.#passive.close();
    this.#schedule.close();
    this.#told.close();
    this.#peers.close();
    this.#news.close();
  }

  /** Whether no check says how it is, so that what flows met counts. */
  #isUnchecked(service: string, number: number): boolean {
    const state = this.#book.of(service, number)?.state ?? "unknown";
    return state === "unknown";
  }

  #suspect(suspects: ReadonlySet<number>): void {
    const before = this.#suspects;
    this.#suspects = suspects;
    for (const index of new Set([...before, ...suspects])) this.#write(index);
  }

  #write(index: number): void {
    const state = this.#checked.get(index) ?? (this.#suspects.has(index) ? "suspect" : "unknown");
    writeInstanceHealth(this.#shared, index, state);
  }

  #begin(checked: CheckedInstance): void {
    if (!checked.isLocal) return this.#peers.add(checked);
    this.#told.change();
    const subject: Subject = {
      intervalMs: checked.settings.interval,
      check: () => checkInstance(checked.instance, checked.settings),
      onResult: (failure) => this.#book.noteCheck(checked, failure),
    };
    this.#subjects.set(checked, subject);
    this.#schedule.add(subject);
  }

  #end(checked: CheckedInstance): void {
    const subject = this.#subjects.get(checked);
    this.#subjects.delete(checked);
    if (subject !== undefined) this.#schedule.remove(subject);
    if (checked.isLocal) this.#told.change();
    else this.#peers.remove(checked);
  }
}

/** At each of its addresses: it serves when it does so at one of them, whichever families its program knows. */
async function checkInstance({ namespaceAddresses }: Instance, settings: ServiceHealth): Promise<CheckResult> {
  const results = await Promise.all(namespaceAddresses.map((address) => checkAddress(address, settings)));
  return results.includes(undefined) ? undefined : results[0];
}

function checkAddress(address: string, settings: ServiceHealth): Promise<CheckResult> {
  const { tcp, icmp, timeout } = settings;
  if (tcp !== undefined) return checkTcp(address, tcp, timeout);
  return icmp ? checkIcmp(address, timeout) : checkHttp(address, settings);
}
