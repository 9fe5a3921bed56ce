// A proxy's metrics in Prometheus' text format: what the reports say, read when somebody asks.

import { describeMetrics } from "./metric-catalogue.ts";
import { MetricRegistry } from "./metric-registry.ts";
import type { MetricsSource } from "./metrics-source.ts";

export class Metrics {
  readonly #registry = new MetricRegistry();
  readonly #reports = new Map<string, unknown>(); // of the answer that is being made
  #pending: Promise<string> | undefined;

  constructor(source: MetricsSource) {
    describeMetrics(this.#registry, this.#oncePerAnswer(source));
    this.#reports.clear();
    this.#registry.process();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Whoever asks while another one is being answered gets the same answer. */
  text(): Promise<string> {
    this.#pending ??= this.#registry.text().finally(() => {
      this.#pending = undefined;
      this.#reports.clear();
    });
    return this.#pending;
  }

  /** Many metrics are made of the same report. */
  #oncePerAnswer(source: MetricsSource): MetricsSource {
    const once = <Report>(name: string, read: () => Report) => {
      return (): Report => {
        if (!this.#reports.has(name)) this.#reports.set(name, read());
        return this.#reports.get(name) as Report;
      };
    };
    return {
      status: once("status", () => source.status()),
      instances: once("instances", () => source.instances()),
      nodes: once("nodes", () => source.nodes()),
      counters: once("counters", () => source.counters()),
      policies: once("policies", () => source.policies()),
      engine: once("engine", () => source.engine()),
      probeLoss: (node) => source.probeLoss(node),
      batches: () => source.batches(),
      policyTimes: () => source.policyTimes(),
      workerCpuMs: () => source.workerCpuMs(),
      reloads: () => source.reloads(),
    };
  }
}
