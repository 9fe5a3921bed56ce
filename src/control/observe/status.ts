// The answer of GET /v1/status: what is open, how much of it is in use, and how the last reload went.

import { lostLogLines } from "../../base/log.ts";
import { oncePer } from "../../base/once-per.ts";
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

/** Asked for several times a second, of tables that may have ten thousands of services. */
const entriesOf = oncePer(({ nodes, services }: Tables) => {
  const instances = services.flatMap((service) => service.instances);
  const workloads = new Map<string, number>(); // namespace addresses by node
  let addresses = services.reduce((sum, service) => sum + service.addresses.length, 0);
  for (const { node, instanceAddresses, namespaceAddresses } of instances) {
    addresses += instanceAddresses.length;
    workloads.set(node, (workloads.get(node) ?? 0) + namespaceAddresses.length);
  }
  return { addresses, instances: instances.length, workloads, nodes: nodes.length };
});

function tableUsage(tables: Tables, ownNode: string, shared: SharedMemory): Record<string, UsageReport> {
  const { capacities } = shared;
  const entries = entriesOf(tables);
  return {
    addresses: { used: entries.addresses, limit: capacities.addresses },
    instances: { used: entries.instances, limit: capacities.instances },
    workloads: { used: entries.workloads.get(ownNode) ?? 0, limit: capacities.workloads },
    nodes: { used: entries.nodes, limit: capacities.nodes },
  };
}
