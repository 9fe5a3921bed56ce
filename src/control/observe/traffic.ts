// Rates of services and instances: the difference between two looks at the flows, for whoever asks. While nobody asks,
// nothing is looked at. Answers are cut to what a terminal shows, however many services there are.

import { FlowTraffic, type InstanceTraffic } from "../../memory/flow-traffic.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { CountersReport, TrafficOrder, TrafficReport, TrafficRow } from "../../model/reports.ts";
import type { Tables } from "../../model/tables.ts";

/** Several that ask at once get the same look. */
const LOOK_MIN_MS = 90;
/** After that the look before says nothing about now. */
const LOOK_MAX_MS = 120_000;

interface TrafficOptions {
  readonly shared: SharedMemory;
  readonly store: { snapshot(): Tables; instanceIndices(service: string): readonly number[] };
  readonly counters: () => CountersReport;
  readonly nowMs: () => number;
}

interface Look {
  readonly atMs: number;
  readonly overMs: number | undefined; // since the look before; undefined: there was none
  readonly instances: ReadonlyMap<number, InstanceTraffic>;
  readonly totals: Totals;
  readonly before: Totals | undefined;
}

interface Totals {
  readonly outPackets: number;
  readonly outBytes: number;
  readonly inPackets: number;
  readonly inBytes: number;
  readonly dropped: number;
}

const NOTHING: InstanceTraffic = { flows: 0, forwardPackets: 0, reversePackets: 0 };

export class Traffic {
  readonly #options: TrafficOptions;
  #flows: FlowTraffic | undefined;
  #last: Look | undefined;

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  report({ by, sort, limit }: TrafficOrder): TrafficReport {
    const look = this.#look();
    const rows = by === "service" ? this.#services(look) : this.#instances(look);
    rows.sort((a, b) => weightOf(b, sort) - weightOf(a, sort) || compareNames(a, b));
    return { overMs: look.overMs ?? null, totals: ratesOf(look), rowCount: rows.length, rows: rows.slice(0, limit) };
  }

  #look(): Look {
    const { shared, counters, nowMs } = this.#options;
    const atMs = nowMs();
    const last = this.#last;
    if (last !== undefined && atMs - last.atMs < LOOK_MIN_MS) return last;
    this.#flows ??= new FlowTraffic(shared);
    const isFresh = last !== undefined && atMs - last.atMs <= LOOK_MAX_MS;
    this.#last = {
      atMs,
      overMs: isFresh ? atMs - last.atMs : undefined,
      instances: this.#flows.look(),
      totals: totalsOf(counters()),
      before: isFresh ? last.totals : undefined,
    };
    return this.#last;
  }

  #services(look: Look): TrafficRow[] {
    const { store } = this.#options;
    return store.snapshot().services.map(({ name, instances }) => {
      const found = store.instanceIndices(name).map((index) => look.instances.get(index) ?? NOTHING);
      const all = found.reduce(
        (sum, one) => ({
          flows: sum.flows + one.flows,
          forwardPackets: sum.forwardPackets + one.forwardPackets,
          reversePackets: sum.reversePackets + one.reversePackets,
        }),
        NOTHING,
      );
      return { service: name, instance: null, node: null, instances: instances.length, ...rowOf(all, look) };
    });
  }

  #instances(look: Look): TrafficRow[] {
    const { store } = this.#options;
    return store.snapshot().services.flatMap(({ name, instances }) => {
      const indices = store.instanceIndices(name);
      return instances.map(({ number, node }, i) => {
        const found = look.instances.get(indices[i] ?? -1) ?? NOTHING;
        return { service: name, instance: number, node, instances: 1, ...rowOf(found, look) };
      });
    });
  }
}

function rowOf({ flows, forwardPackets, reversePackets }: InstanceTraffic, { overMs }: Look) {
  const rate = (packets: number): number | null => (overMs === undefined ? null : (packets * 1000) / overMs);
  return { flows, outPerSecond: rate(forwardPackets), inPerSecond: rate(reversePackets) };
}

function totalsOf({ counters, drops }: CountersReport): Totals {
  const count = (name: string): number => counters[name] ?? 0;
  const sum = (values: Readonly<Record<string, number>>): number => Object.values(values).reduce((a, b) => a + b, 0);
  return {
    outPackets: count("egressPackets") + count("localPackets"),
    outBytes: count("egressBytes") + count("localBytes"),
    inPackets: count("ingressPackets"),
    inBytes: count("ingressBytes"),
    dropped: sum(drops.egress) + sum(drops.ingress),
  };
}

/** Per second. */
function ratesOf({ overMs, totals, before }: Look): TrafficReport["totals"] {
  if (overMs === undefined || before === undefined) return null;
  const rate = (field: keyof Totals): number => Math.max(0, ((totals[field] - before[field]) * 1000) / overMs);
  return {
    outPackets: rate("outPackets"),
    outBytes: rate("outBytes"),
    inPackets: rate("inPackets"),
    inBytes: rate("inBytes"),
    dropped: rate("dropped"),
  };
}

function weightOf({ flows, outPerSecond, inPerSecond }: TrafficRow, sort: TrafficOrder["sort"]): number {
  if (sort === "name") return 0;
  return sort === "flows" ? flows : (outPerSecond ?? 0) + (inPerSecond ?? 0);
}

function compareNames(a: TrafficRow, b: TrafficRow): number {
  if (a.service !== b.service) return a.service < b.service ? -1 : 1;
  return (a.instance ?? 0) - (b.instance ?? 0);
}
