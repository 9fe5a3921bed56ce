// All that lets others look into a running proxy without asking for a report: metrics, health, events, and the TCP
// listener that shows them.

import { dirname, resolve } from "node:path";
import { Counter } from "../../../assembly/shared/counters.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import type { Logger } from "../../base/log.ts";
import type { OffloadSwitch } from "../../dataplane/worker/offload-switch.ts";
import { rehearse } from "../../dataplane/worker/rehearse.ts";
import type { Supervisor } from "../../dataplane/worker/supervisor.ts";
import { readBatches, readCounter, readDrops } from "../../memory/counters.ts";
import { readNodeMetrics, readProbeLoss } from "../../memory/measurements.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { NetworkReport, ReloadReport, StatusReport } from "../../model/reports.ts";
import type { Config } from "../config/config.ts";
import type { ModuleReporter } from "../modules/module-reporter.ts";
import type { Modules } from "../modules/modules.ts";
import type { TableStore } from "../tables/table-store.ts";
import { Admission, readToken } from "./admission.ts";
import type { EventLog } from "./event-log.ts";
import { EventWatch, type NodeSituation, type Situation } from "./event-watch.ts";
import { Explainer } from "./explainer.ts";
import { LineStream } from "./line-stream.ts";
import type { MetricsSource } from "./metrics-source.ts";
import { ObserveServer, type ObserveSite } from "./observe-server.ts";
import { ObservationPages } from "./pages.ts";
import { Pinger } from "./pinger.ts";
import type { Reporter } from "./reporter.ts";

interface ObservationOptions {
  readonly config: Pick<Config, "node" | "observe" | "probe">;
  readonly status: () => StatusReport;
  readonly reporter: Reporter;
  readonly moduleReporter: ModuleReporter;
  readonly modules: Pick<Modules, "policies" | "engine">;
  readonly supervisor: Pick<Supervisor, "cpuMs">;
  readonly reloader: {
    readonly counts: { readonly applied: number; readonly refused: number };
    readonly last: ReloadReport | undefined;
  };
  readonly offloads: Pick<OffloadSwitch, "states">;
  readonly network: () => NetworkReport;
  readonly workerRestarts: readonly number[]; // by worker
  readonly shared: SharedMemory;
  readonly store: TableStore;
  readonly log: Logger;
  /** Milliseconds of the workers' clock. */
  readonly nowMs: () => number;
  readonly events: EventLog;
}

type OpenSite = (options: {
  readonly takesOrders: boolean; // from those who have the token
  readonly onFailure: (error: unknown) => void;
}) => Promise<ObserveSite>;

export class Observation {
  readonly pages: ObservationPages;
  readonly events: EventLog;
  readonly explainer: Explainer;
  readonly pinger: Pinger;
  readonly source: MetricsSource;
  readonly #options: ObservationOptions;
  readonly #watch: EventWatch;

  constructor(options: ObservationOptions) {
    const { config, status, reporter, moduleReporter, modules, supervisor, reloader } = options;
    this.#options = options;
    this.source = {
      status,
      instances: () => [...reporter.instances()],
      nodes: () => reporter.nodes(),
      counters: () => reporter.counters(),
      batches: () => readBatches(options.shared),
      policies: () => modules.policies.states().map((state) => moduleReporter.policy(state)),
      engine: () => moduleReporter.engine(modules.engine.state()),
      probeLoss: (node: string) => this.#probeLoss(node),
      policyTimes: () => modules.policies.states().map((state) => moduleReporter.policyTimes(state)),
      workerCpuMs: () => supervisor.cpuMs(),
      reloads: () => reloader.counts,
    };
    this.pages = new ObservationPages(this.source, config.observe.readyPeers);
    this.events = options.events;
    this.explainer = new Explainer({
      nodeId: config.node.id,
      plan: options.shared,
      tables: () => options.store.snapshot(),
      nodes: () => reporter.nodes(),
      engine: () => modules.engine.current.module,
      policies: () => modules.policies.modules(),
      nowMs: options.nowMs,
      rehearse,
    });
    this.pinger = new Pinger({
      shared: options.shared,
      store: options.store,
      nodes: () => reporter.nodes(),
      probeIntervalMs: config.probe.interval,
      explain: (to) => this.explainer.explain(to, undefined),
      nowMs: () => performance.now(),
    });
    this.#watch = new EventWatch(() => this.#situation(), this.events);
  }

  /**
   * Opens the listener if the configuration has one. The token's file is relative to the configuration's. `openSite`
   * makes what it shows beside the pages for programs.
   */
  async listen(configFile: string, openSite: OpenSite): Promise<ObserveServer | undefined> {
    const { config, log } = this.#options;
    const { listen, token, hosts } = config.observe;
    if (listen === undefined) return undefined;
    const secret = token === undefined ? undefined : readToken(resolve(dirname(configFile), token));
    const onFailure = (error: unknown): void =>
      log.error({ err: error }, "a request to the observation listener met an unexpected error");
    const admission = new Admission(hosts, secret);
    const site = await openSite({ takesOrders: secret !== undefined, onFailure });
    return await ObserveServer.open({ listen, admission, pages: this.pages, site, onFailure });
  }

  /** Those that are there, and then each that comes. */
  followEvents(): LineStream {
    this.events.expectRoom();
    return new LineStream((write) => {
      for (const event of this.events.all()) write(event);
      return this.events.follow(write);
    });
  }

  close(): void {
    this.#watch.close();
  }

  #probeLoss(node: string): number | null {
    const { shared, store, nowMs } = this.#options;
    const index = store.nodeIndex(node);
    return index === undefined ? null : readProbeLoss(shared, index, nowMs());
  }

  #situation(): Situation {
    const { offloads, modules, reloader, workerRestarts, shared } = this.#options;
    const network = this.#options.network();
    return {
      nodes: this.#nodes(),
      offloads: new Map(offloads.states.map(({ name, on, reason }) => [name, { on, reason }])),
      policies: new Map(
        modules.policies.states().map(({ name, current, fault }) => [name, { sha256: current?.sha256, fault }]),
      ),
      engine: engineSituation(modules.engine.state()),
      lastReload: reloader.last,
      workerRestarts: [...workerRestarts],
      network: {
        repairs: network.repairs,
        problems: network.problems,
        lastRepair: network.lastRepair?.what.join(", ") ?? "",
      },
      flowsSqueezed:
        readCounter(shared, Counter.flowsEvicted) +
        readDrops(shared, "egress", DropReason.flowTableFull) +
        readDrops(shared, "ingress", DropReason.flowTableFull),
    };
  }

  #nodes(): Map<string, NodeSituation> {
    const { shared, store, nowMs } = this.#options;
    const now = nowMs();
    return new Map(
      store.nodes.flatMap(({ id }): [string, NodeSituation][] => {
        const index = store.nodeIndex(id);
        if (index === undefined) return [];
        const { health, mtu } = readNodeMetrics(shared, index, now);
        return [[id, { state: health, mtu }]];
      }),
    );
  }
}

function engineSituation({ current, fault }: ReturnType<Modules["engine"]["state"]>) {
  return { sha256: current.sha256, fault };
}
