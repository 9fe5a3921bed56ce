// What each view of the page shows, from what was read once for all clients. Of a long list only a page is made.

import type { PolicyReport } from "../../model/module-reports.ts";
import type {
  PageDrop,
  PageEvent,
  PageNode,
  PagePolicy,
  PageQuery,
  PageRows,
  PageService,
  PageShare,
  PageSpread,
  PageViewReport,
} from "../../model/page-reports.ts";
import type { EventReport, NodeReport } from "../../model/reports.ts";
import { type FlowSurvey, keyOf } from "./flow-survey.ts";
import type { PageSource } from "./page-source.ts";
import type { IndexedService, TableIndex } from "./table-index.ts";

export const ROWS_MAX = 50;
/** Of the overview. */
const MAP_NODES_MAX = 40;
const BUSIEST_MAX = 6;
const DROPS_MAX = 5;
const EVENTS_MAX = 6;
/** Instances of a service that are shown one by one. */
const SHARES_MAX = 32;
const SPREADS_MAX = 3;

/** What was read in one tick. */
export interface Readings {
  readonly nodes: readonly NodeReport[];
  readonly policies: readonly PolicyReport[];
  readonly drops: readonly PageDrop[];
  readonly events: readonly EventReport[];
  readonly index: TableIndex;
  readonly survey: FlowSurvey;
  readonly probeLoss: (node: string) => number | null;
  readonly healthOf: PageSource["healthOf"];
}

export class PageViews {
  readonly #readings: Readings;
  readonly #states: ReadonlyMap<string, NodeReport["state"]>;
  #busiest: readonly IndexedService[] | undefined;
  #spreads: ReadonlyMap<string, readonly PageSpread[]> | undefined;

  constructor(readings: Readings) {
    this.#readings = readings;
    this.#states = new Map(readings.nodes.map(({ id, state }) => [id, state]));
  }

  report(query: PageQuery): PageViewReport {
    const { view } = query;
    const { drops, survey } = this.#readings;
    switch (view) {
      case "overview":
        return {
          view,
          nodes: this.#nodes("", 0, MAP_NODES_MAX),
          services: this.#services({ filter: "", offset: 0, order: "flows" }, BUSIEST_MAX),
          policies: this.#policies().filter(({ addresses, state }) => addresses > 0 || state === "faulty"),
          drops: drops.slice(0, DROPS_MAX),
          events: this.#events().slice(0, EVENTS_MAX),
        };
      case "services":
        return { view, ...this.#services(query, ROWS_MAX) };
      case "flows": {
        const list = survey.lists.get(keyOf(query)) ?? { rows: [], matching: 0, offset: query.offset };
        return { view, passMs: survey.passMs, ...list };
      }
      case "nodes":
        return { view, ...this.#nodes(query.filter, query.offset, ROWS_MAX) };
      case "policies":
        return { view, rows: this.#policies() };
      case "drops":
        return { view, rows: drops };
      case "events":
        return { view, rows: this.#events() };
    }
  }

  /** This one first, then those that are lost, then the nearest. */
  #nodes(filter: string, offset: number, limit: number): PageRows<PageNode> {
    const wanted = filter.trim().toLowerCase();
    const matching = this.#readings.nodes.filter(({ id, state, underlay }) =>
      `${id} ${state} ${underlay.address}`.toLowerCase().includes(wanted),
    );
    const sorted = matching.sort((a, b) => urgency(a) - urgency(b) || (a.rttMs ?? 1e9) - (b.rttMs ?? 1e9));
    return pageOf(sorted, offset, limit, (node) => this.#node(node));
  }

  #node({ id, isLocal, state, stateAgeMs, rttMs, mtu, distanceKm, underlay, encryption }: NodeReport): PageNode {
    const { index, survey, probeLoss } = this.#readings;
    const { total, draining } = index.on(id);
    const { flows = 0, packets = survey.hasRates ? 0 : null } = survey.nodes.get(id) ?? {};
    return {
      ...{ id, isLocal, state, stateAgeMs, rttMs, mtu, distanceKm, encryption },
      loss: isLocal ? null : probeLoss(id),
      address: underlay.address,
      port: underlay.port,
      instances: total,
      draining,
      flows,
      packets,
    };
  }

  #services(
    { filter, offset, order }: Pick<PageQuery, "filter" | "offset" | "order">,
    limit: number,
  ): PageRows<PageService> {
    const { index } = this.#readings;
    const matching = index.matching(filter.trim());
    if (order === "name") return pageOf(matching, offset, limit, (service) => this.#service(service));
    const isWanted = matching === index.services ? undefined : new Set(matching);
    this.#busiest ??= this.#byFlows();
    const ordered = isWanted === undefined ? this.#busiest : this.#busiest.filter((each) => isWanted.has(each));
    return pageOf(ordered, offset, limit, (service) => this.#service(service));
  }

  /** Once for all clients; those without flows keep the order of their names. */
  #byFlows(): readonly IndexedService[] {
    const { index, survey } = this.#readings;
    const flowsOf = new Map<IndexedService, number>();
    for (const service of index.services) {
      const flows = service.records.reduce((sum, record) => {
        const { live = 0, ended = 0 } = survey.instances.get(record) ?? {};
        return sum + live + ended;
      }, 0);
      if (flows > 0) flowsOf.set(service, flows);
    }
    const busy = [...flowsOf].sort(([, a], [, b]) => b - a).map(([service]) => service);
    return [...busy, ...index.services.filter((service) => !flowsOf.has(service))];
  }

  #service({ service: { name, addresses, instances }, records }: IndexedService): PageService {
    const { survey } = this.#readings;
    const shares = instances.map(({ number, node, draining, weight }, i): PageShare => {
      const { live = 0, ended = 0 } = survey.instances.get(records[i] ?? 0) ?? {};
      const state = this.#states.get(node) ?? "unknown";
      const { health, healthReason } = this.#readings.healthOf(name, number);
      return { number, node, state, draining, weight, health, healthReason, flows: live, ended };
    });
    const sumOf = (count: (share: PageShare) => number): number => shares.reduce((sum, one) => sum + count(one), 0);
    const shown = shares
      .toSorted((a, b) => b.flows + b.ended - (a.flows + a.ended))
      .slice(0, SHARES_MAX)
      .sort((a, b) => a.number - b.number);
    return {
      name,
      addresses,
      instances: shown,
      others: shares.length - shown.length,
      flows: sumOf(({ flows }) => flows),
      ended: sumOf(({ ended }) => ended),
    };
  }

  #policies(): readonly PagePolicy[] {
    this.#spreads ??= this.#spreadByPolicy();
    const spreads = this.#spreads;
    return this.#readings.policies.map((policy) => {
      const { name, state, module, previous, addresses, choices, choiceUs, faults, lastError } = policy;
      return {
        ...{ name, state, module, previous, addresses, choices, choiceUs },
        faults: Object.values(faults).reduce((sum, count) => sum + count, 0),
        lastError: lastError?.message ?? null,
        spread: spreads.get(name) ?? [],
      };
    });
  }

  #spreadByPolicy(): ReadonlyMap<string, readonly PageSpread[]> {
    const { index, survey } = this.#readings;
    const byPolicy = new Map<string, PageSpread[]>();
    for (const [address, counts] of survey.addresses) {
      const service = index.serviceOf.get(address)?.service;
      const policy = service?.addresses.find((one) => one.address === address)?.policy;
      if (service === undefined || policy === undefined) continue;
      const instances = service.instances.slice(0, SHARES_MAX).map(({ number, node }) => {
        return { number, node, flows: counts.get(number) ?? 0 };
      });
      const flows = [...counts.values()].reduce((sum, count) => sum + count, 0);
      byPolicy.set(policy, [...(byPolicy.get(policy) ?? []), { service: service.name, address, flows, instances }]);
    }
    for (const [policy, spreads] of byPolicy) {
      byPolicy.set(policy, spreads.sort((a, b) => b.flows - a.flows).slice(0, SPREADS_MAX));
    }
    return byPolicy;
  }

  /** The newest first. */
  #events(): readonly PageEvent[] {
    return this.#readings.events
      .slice(-2 * ROWS_MAX)
      .reverse()
      .map(({ id, at, kind, message, advice }) => ({ id, at, kind, message, advice }));
  }
}

function urgency({ isLocal, state }: NodeReport): number {
  return isLocal ? 0 : state === "lost" ? 1 : state === "reachable" ? 2 : 3;
}

function pageOf<Item, Row>(
  items: readonly Item[],
  offset: number,
  limit: number,
  row: (item: Item) => Row,
): PageRows<Row> {
  return { rows: items.slice(offset, offset + limit).map(row), matching: items.length, offset };
}
