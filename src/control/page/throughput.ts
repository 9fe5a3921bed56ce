// What passes in a second, from counters that only grow: the samples of the last minutes. Sampled while somebody looks;
// after a time in which nobody did, the first sample has no rates.

import type { PageDrop, PageRates, PageSample } from "../../model/page-reports.ts";
import type { CountersReport } from "../../model/reports.ts";
import { counterText } from "../observe/counter-texts.ts";

/** Ten minutes of one sample a second. */
const SAMPLES_MAX = 600;
/** Counters that are older say nothing about now. */
const GAP_MS = 5000;

interface Reading {
  readonly atMs: number;
  readonly report: CountersReport;
}

export class Throughput {
  readonly #samples: PageSample[] = [];
  #before: Reading | undefined;
  #drops: readonly PageDrop[] = [];

  /** `atMs` is of the epoch. */
  take(report: CountersReport, flows: number, atMs: number): PageSample {
    const reading = { atMs, report };
    const isFresh = this.#before !== undefined && atMs > this.#before.atMs && atMs - this.#before.atMs <= GAP_MS;
    const before = isFresh ? this.#before : undefined;
    const sample = { at: atMs, rates: before === undefined ? null : ratesBetween(before, reading), flows };
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
    this.#drops = dropsOf(before, reading);
    this.#before = reading;
    return sample;
  }

  /** Those after a time of the epoch, the oldest first. */
  since(atMs: number): readonly PageSample[] {
    return this.#samples.filter(({ at }) => at > atMs);
  }

  /** Reasons that dropped a packet since the start, those that drop most now first. */
  get drops(): readonly PageDrop[] {
    return this.#drops;
  }

  /** Part of the packets of the last seconds that were dropped, and how many in a second. */
  recentDrops(seconds: number): { readonly perSecond: number; readonly ratio: number } {
    const recent = this.#samples.slice(-seconds).flatMap(({ rates }) => rates ?? []);
    if (recent.length === 0) return { perSecond: 0, ratio: 0 };
    const mean = (of: (rates: PageRates) => number): number =>
      recent.reduce((sum, rates) => sum + of(rates), 0) / recent.length;
    const drops = mean((rates) => rates.drops);
    const forwarded = mean((rates) => rates.egressPackets + rates.ingressPackets + rates.localPackets);
    return { perSecond: drops, ratio: drops === 0 ? 0 : drops / (drops + forwarded) };
  }
}

function ratesBetween(before: Reading, now: Reading): PageRates {
  const seconds = (now.atMs - before.atMs) / 1000;
  const rate = (counter: string): number =>
    ((now.report.counters[counter] ?? 0) - (before.report.counters[counter] ?? 0)) / seconds;
  return {
    egressBytes: rate("egressBytes"),
    ingressBytes: rate("ingressBytes"),
    localBytes: rate("localBytes"),
    egressPackets: rate("egressPackets"),
    ingressPackets: rate("ingressPackets"),
    localPackets: rate("localPackets"),
    drops: (dropped(now.report) - dropped(before.report)) / seconds,
    flowsOpened: rate("flowsOpened"),
  };
}

function dropped({ drops, kernel }: CountersReport): number {
  return [drops.egress, drops.ingress, kernel]
    .flatMap((counts) => Object.values(counts))
    .reduce((sum, count) => sum + count, 0);
}

function dropsOf(before: Reading | undefined, { atMs, report }: Reading): PageDrop[] {
  const countsOf = ({ drops, kernel }: CountersReport) => ({ ...drops, kernel });
  const now = countsOf(report);
  const then = before === undefined ? undefined : countsOf(before.report);
  const seconds = before === undefined ? 1 : (atMs - before.atMs) / 1000;
  const found = (["egress", "ingress", "kernel"] as const).flatMap((direction) =>
    Object.entries(now[direction])
      .filter(([, packets]) => packets > 0)
      .map(([reason, packets]) => {
        const perSecond = (packets - (then?.[direction][reason] ?? packets)) / seconds;
        const { meaning = "", advice = "" } = counterText(reason) ?? {};
        return { reason, direction, packets, perSecond, meaning, advice };
      }),
  );
  return found.sort((a, b) => b.perSecond - a.perSecond || b.packets - a.packets);
}
