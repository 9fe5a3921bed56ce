// What the observation listener and the control socket show beside the JSON reports, apart from how HTTP carries it.

import type { HealthReport, ReadyPeers } from "../../model/reports.ts";
import { expectRoomToLoad } from "../../sys/descriptor-reserve.ts";
import type { HealthSource } from "./health.ts";
import { livenessOf, readinessOf } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import type { MetricsSource } from "./metrics-source.ts";

/** An answer that is no report with status 200. */
export class Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;

  constructor(status: number, contentType: string, body: string) {
    this.status = status;
    this.contentType = contentType;
    this.body = body;
  }
}

/** The pages by their paths. */
export const PAGES = ["/metrics", "/healthz", "/readyz"] as const;
export type PagePath = (typeof PAGES)[number];

export class ObservationPages {
  readonly #source: MetricsSource & HealthSource;
  readonly #readyPeers: ReadyPeers;
  #metrics: Promise<Metrics> | undefined;

  constructor(source: MetricsSource & HealthSource, readyPeers: ReadyPeers) {
    this.#source = source;
    this.#readyPeers = readyPeers;
  }

  async page(path: PagePath): Promise<Page> {
    if (path === "/healthz") return healthPage(livenessOf(this.#source));
    if (path === "/readyz") return healthPage(readinessOf(this.#source, this.#readyPeers));
    const metrics = await this.#loadMetrics();
    return new Page(200, metrics.contentType, await metrics.text());
  }

  /** Nothing of it is loaded, and no event loop is measured, before somebody asks. */
  async #loadMetrics(): Promise<Metrics> {
    if (this.#metrics === undefined) {
      expectRoomToLoad();
      this.#metrics = import("./metrics.ts").then(({ Metrics }) => new Metrics(this.#source));
    }
    return this.#metrics;
  }
}

export function isPagePath(path: string): path is PagePath {
  return PAGES.some((known) => known === path);
}

function healthPage(report: HealthReport): Page {
  return new Page(report.ok ? 200 : 503, "application/json", JSON.stringify(report));
}
