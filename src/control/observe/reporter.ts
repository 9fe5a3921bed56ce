// Answers what services, instances, nodes, flows and counters a proxy has: the tables in force, joined with what the
// data plane measures and counts in the shared memory.

import { SapwoodError } from "../../base/errors.ts";
import { meantText, nameList, shortText } from "../../base/issues.ts";
import { oncePer } from "../../base/once-per.ts";
import { readCounters } from "../../memory/counters.ts";
import { liveFlows } from "../../memory/flows.ts";
import { readInstanceLoad, readNodeMetrics } from "../../memory/measurements.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type {
  CountersReport,
  FlowQuery,
  FlowReport,
  FlowsReport,
  InstanceReport,
  NodeReport,
  ServiceAddressReport,
} from "../../model/reports.ts";
import type { Node, Tables } from "../../model/tables.ts";
import { distanceKm } from "../../net/location.ts";
import { candidatesOf } from "../tables/address-candidates.ts";
import type { TableStore } from "../tables/table-store.ts";
import { tablesJson } from "../tables/tables-document.ts";
import { flowReport } from "./flow-report.ts";
import type { KernelDrops } from "./kernel-drops.ts";

interface ReporterOptions {
  readonly shared: SharedMemory;
  readonly node: Node; // this one
  readonly store: TableStore;
  /** Milliseconds of the workers' clock. */
  readonly nowMs: () => number;
  readonly kernelDrops: () => KernelDrops;
  readonly healthOf: (
    service: string,
    instance: number,
  ) => Pick<InstanceReport, "health" | "healthAgeMs" | "healthReason">;
  /** Of this node, while its underlay is encrypted. */
  readonly publicKey: () => string | undefined;
}

export class Reporter {
  readonly #options: ReporterOptions;
  readonly #instanceCounts = oncePer(instanceCountsOf);

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** The tables in force as the JSON text of a document, in pieces; all are of one generation. */
  tables(): Iterable<string> {
    return tablesJson(this.#options.store.snapshot());
  }

  /** Those of one generation, each made when it is asked for. */
  *services(): Generator<ServiceAddressReport> {
    for (const service of this.#options.store.snapshot().services) {
      const candidates = candidatesOf(service);
      const draining = candidates.filter((candidate) => candidate.draining).length;
      for (const { address, policy } of service.addresses) {
        yield { service: service.name, address, policy, candidates: candidates.length, draining };
      }
    }
  }

  /** Likewise. An instance whose service has changed since has no flows any more. */
  *instances(): Generator<InstanceReport> {
    const { shared, node, store, healthOf } = this.#options;
    for (const service of store.snapshot().services) {
      const indices = store.isInForce(service) ? store.instanceIndices(service.name) : [];
      for (const [i, instance] of service.instances.entries()) {
        const index = indices[i];
        yield {
          service: service.name,
          ...instance,
          isLocal: instance.node === node.id,
          flows: index === undefined ? 0 : readInstanceLoad(shared, index),
          ...healthOf(service.name, instance.number),
        };
      }
    }
  }

  nodes(): NodeReport[] {
    const { node: own, store } = this.#options;
    const tables = store.snapshot();
    const instanceCounts = this.#instanceCounts(tables);
    return [own, ...tables.nodes].map((node) => ({
      id: node.id,
      isLocal: node === own,
      underlay: { address: node.underlay.address, port: node.underlay.port },
      encryption: own.underlay.encryption === "wireguard" ? (node.underlay.encryption ?? "wireguard") : "none",
      publicKey: (node === own ? this.#options.publicKey() : node.publicKey) ?? null,
      ...this.#measured(node),
      instances: instanceCounts.get(node.id) ?? 0,
    }));
  }

  /** Throws not-found when there is no such service. */
  flows({ limit, service, protocol }: FlowQuery): FlowsReport {
    if (service !== undefined) this.#requireService(service);
    const names = this.#options.store.instanceNames();
    const nowMs = this.#options.nowMs();
    const flows: FlowReport[] = [];
    let matching = 0;
    for (const flow of liveFlows(this.#options.shared)) {
      const found = flow.isInstanceKnown ? names.get(flow.instance) : undefined;
      if (protocol !== undefined && flow.protocolName !== protocol) continue;
      if (service !== undefined && found?.service !== service) continue;
      matching += 1;
      if (flows.length < limit) flows.push(flowReport(flow, found, nowMs));
    }
    return { matching, flows };
  }

  counters(): CountersReport {
    return { ...readCounters(this.#options.shared), kernel: this.#options.kernelDrops() };
  }

  #requireService(name: string): void {
    const { store } = this.#options;
    if (store.hasService(name)) return;
    const names = store.snapshot().services.map((service) => service.name);
    const known = names.length === 0 ? "there is none at all" : `there are ${nameList(names)}`;
    throw new SapwoodError("not-found", `There is no service "${shortText(name)}"; ${known}${meantText(name, names)}.`);
  }

  #measured(node: Node): Pick<NodeReport, "state" | "stateAgeMs" | "rttMs" | "distanceKm" | "lastReplyAgeMs" | "mtu"> {
    const { shared, node: own, store, nowMs } = this.#options;
    if (node === own) {
      return { state: "reachable", stateAgeMs: null, rttMs: 0, distanceKm: 0, lastReplyAgeMs: null, mtu: null };
    }
    const index = store.nodeIndex(node.id);
    const metrics = index === undefined ? undefined : readNodeMetrics(shared, index, nowMs());
    const rttUs = metrics?.rttUs ?? null;
    return {
      state: metrics?.health ?? "unknown",
      stateAgeMs: metrics?.healthAgeMs ?? null,
      rttMs: rttUs === null ? null : rttUs / 1000,
      distanceKm: own.location && node.location ? distanceKm(own.location, node.location) : null,
      lastReplyAgeMs: metrics?.lastReplyAgeMs ?? null,
      mtu: metrics?.mtu ?? null,
    };
  }
}

/** By node. */
function instanceCountsOf({ services }: Tables): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { node } of services.flatMap((service) => service.instances)) {
    counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return counts;
}
