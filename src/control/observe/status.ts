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
import type { Node } from "../../model/tables.ts";
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
    tables: tableUsage(store, shared),
    memory: { rssBytes: process.memoryUsage.rss(), sharedBytes: shared.bytes.byteLength },
    lostLogLines: lostLogLines(),
    clockJumpMs: Math.round(Date.now() - performance.timeOrigin - performance.now()),
    provider: source.provider,
  };
}

/** Kept with each change, so that no walk over the tables is needed. */
function tableUsage(store: TableStore, { capacities }: SharedMemory): Record<string, UsageReport> {
  const { addresses, instances, workloads, nodes } = store.usage;
  return {
    addresses: { used: addresses, limit: capacities.addresses },
    instances: { used: instances, limit: capacities.instances },
    workloads: { used: workloads, limit: capacities.workloads },
    nodes: { used: nodes, limit: capacities.nodes },
  };
}
