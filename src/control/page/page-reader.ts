// Reads once in a while what the page shows to everybody: the overview, and what its views are made of.

import { oncePer } from "../../base/once-per.ts";
import type { PageOverview, PageSample } from "../../model/page-reports.ts";
import type { NodeReport } from "../../model/reports.ts";
import type { Tables } from "../../model/tables.ts";
import { type Condition, headlineOf } from "./headline.ts";
import type { PageSource } from "./page-source.ts";
import type { Readings } from "./page-views.ts";
import { TableIndex } from "./table-index.ts";
import { Throughput } from "./throughput.ts";

/** Seconds over which drops are averaged. */
const DROP_SECONDS = 10;

export interface PageReading {
  readonly overview: PageOverview;
  readonly readings: Omit<Readings, "survey">;
}

export class PageReader {
  readonly #source: PageSource;
  readonly #takesOrders: boolean;
  readonly #throughput = new Throughput();
  readonly #indexOf: (tables: Tables) => TableIndex;

  constructor(source: PageSource, takesOrders: boolean) {
    this.#source = source;
    this.#takesOrders = takesOrders;
    this.#indexOf = oncePer((tables: Tables) => new TableIndex(tables, source.store));
  }

  read(): PageReading {
    const source = this.#source;
    const status = source.status();
    const nodes = source.nodes();
    const policies = source.policies();
    const sample = this.#throughput.take(source.counters(), status.flows.used, source.epochMs());
    const { drops } = this.#throughput;
    const index = this.#indexOf(source.store.snapshot());
    const headline = headlineOf({
      ...{ status, nodes, policies, engine: source.engine(), workerCpuMs: source.workerCpuMs() },
      services: index.services,
      unhealthy: this.#unhealthy(index),
      drops: { ...this.#throughput.recentDrops(DROP_SECONDS), reason: drops[0]?.reason },
    });
    const overview: PageOverview = {
      node: status.node,
      version: status.version,
      uptimeMs: status.uptimeMs,
      generation: status.generation,
      headline,
      sample,
      flowsLimit: status.flows.limit,
      services: index.services.length,
      instances: index.instances.size,
      nodes: countsOf(nodes),
      takesOrders: this.#takesOrders,
    };
    const probeLoss = (node: string): number | null => source.probeLoss(node);
    const healthOf: PageSource["healthOf"] = (service, instance) => source.healthOf(service, instance);
    return { overview, readings: { nodes, policies, drops, events: source.events(), index, probeLoss, healthOf } };
  }

  #unhealthy({ checked }: TableIndex): Condition["unhealthy"] {
    return checked.flatMap(({ name, instances }) =>
      instances.flatMap(({ number }) => {
        const { health, healthReason } = this.#source.healthOf(name, number);
        return health === "unhealthy" ? [{ service: name, number, reason: healthReason }] : [];
      }),
    );
  }

  /** Samples after a time of the epoch, the oldest first. */
  samplesSince(atMs: number): readonly PageSample[] {
    return this.#throughput.since(atMs);
  }
}

/** Of the other nodes. */
function countsOf(nodes: readonly NodeReport[]): PageOverview["nodes"] {
  const counts = { reachable: 0, lost: 0, unknown: 0 };
  for (const { isLocal, state } of nodes) if (!isLocal) counts[state] += 1;
  return counts;
}
