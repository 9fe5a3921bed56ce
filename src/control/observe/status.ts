// The answer of GET /v1/status: what is open, how much of it is in use, and how the last reload went.

import { lostLogLines } from "../../base/log.ts";
import { flowCount } from "../../memory/counters.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type {
  ConfigReport,
  NetworkReport,
  OffloadReport,
  ProviderReport,
  ReloadReport,
  StatusReport,
  UsageReport,
} from "../../model/reports.ts";
import type { Node, Tables } from "../../model/tables.ts";
import type { TableStore } from "../tables/table-store.ts";

interface StatusSource {
  readonly version: string;
  readonly node: Node; // this one
  readonly tun: StatusReport["tun"];
  readonly tunnel: StatusReport["tunnel"];
  readonly network: NetworkReport;
  readonly offloads: readonly OffloadReport[];
  readonly shared: SharedMemory;
  readonly workerRestarts: readonly number[]; // by worker
  readonly store: TableStore;
  readonly config: ConfigReport;
  readonly lastReload: ReloadReport | undefined;
  readonly provider: ProviderReport | undefined;
}

export function statusReport(source: StatusSource): StatusReport {
  const { version, node, tun, tunnel, network, offloads, shared, workerRestarts, store, config, lastReload } = source;
  return {
    version,
    node: node.id,
    pid: process.pid,
    uptimeMs: Math.round(performance.now()),
    generation: store.generation,
    config,
    lastReload,
    workers: workerRestarts.map((restarts, index) => ({ index, restarts })),
    tun,
    tunnel,
    network,
    offloads,
    flows: { used: flowCount(shared), limit: shared.capacities.flows },
    tables: tableUsage(store.snapshot(), node.id, shared),
    memory: { rssBytes: process.memoryUsage.rss(), sharedBytes: shared.bytes.byteLength },
    lostLogLines: lostLogLines(),
    clockJumpMs: Math.round(Date.now() - performance.timeOrigin - performance.now()),
    provider: source.provider,
  };
}

function tableUsage({ nodes, services }: Tables, ownNode: string, shared: SharedMemory): Record<string, UsageReport> {
  const { capacities } = shared;
  const instances = services.flatMap((service) => service.instances);
  const addresses = services.flatMap((service) => [
    ...service.addresses,
    ...service.instances.flatMap((instance) => instance.instanceAddresses),
  ]);
  const workloads = instances
    .filter((instance) => instance.node === ownNode)
    .flatMap((instance) => instance.namespaceAddresses);
  return {
    addresses: { used: addresses.length, limit: capacities.addresses },
    instances: { used: instances.length, limit: capacities.instances },
    workloads: { used: workloads.length, limit: capacities.workloads },
    nodes: { used: nodes.length, limit: capacities.nodes },
  };
}
