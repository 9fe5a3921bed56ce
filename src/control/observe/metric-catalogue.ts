// Which metrics there are: names, labels, units of base (seconds, bytes), and where each value is from.
// Promises: the number of series has a bound, whatever the tables hold.

import { CHOICE_BOUNDS_US } from "../../dataplane/modules/policy-board.ts";
import { BATCH_BOUNDS } from "../../memory/counters.ts";
import { INSTANCE_HEALTH, type InstanceReport, type NodeReport, type StatusReport } from "../../model/reports.ts";
import { counterText } from "./counter-texts.ts";
import type { MetricRegistry, Sample } from "./metric-registry.ts";
import type { MetricsSource } from "./metrics-source.ts";

/** Instances, and other nodes, that have series of their own. */
const SERIES_MAX = 1000;

/** Counters that are one metric by a label. */
const BY_DIRECTION: Readonly<Record<string, readonly [metric: string, direction: string]>> = {
  egressPackets: ["sapwood_packets_total", "egress"],
  ingressPackets: ["sapwood_packets_total", "ingress"],
  localPackets: ["sapwood_packets_total", "local"],
  egressBytes: ["sapwood_bytes_total", "egress"],
  ingressBytes: ["sapwood_bytes_total", "ingress"],
  localBytes: ["sapwood_bytes_total", "local"],
};
const NODE_STATES = ["reachable", "lost", "unknown"] as const;

export function describeMetrics(registry: MetricRegistry, source: MetricsSource): void {
  describeDataPlane(registry, source);
  describeProxy(registry, source);
  describeTables(registry, source);
  describeNodes(registry, source);
  describeModules(registry, source);
}

function describeDataPlane(registry: MetricRegistry, source: MetricsSource): void {
  const byDirection = (metric: string) => (): Sample[] => {
    const { counters } = source.counters();
    return Object.entries(BY_DIRECTION)
      .filter(([, [name]]) => name === metric)
      .map(([counter, [, direction]]) => [{ direction }, counters[counter] ?? 0]);
  };
  const labels = ["direction"];
  const packets = { name: "sapwood_packets_total", help: "Inner IP packets, by the direction that they go.", labels };
  const bytes = { name: "sapwood_bytes_total", help: "Their bytes, IP headers included.", labels };
  registry.counter(packets, byDirection(packets.name));
  registry.counter(bytes, byDirection(bytes.name));
  for (const counter of Object.keys(source.counters().counters)) {
    if (Object.hasOwn(BY_DIRECTION, counter)) continue;
    const help = sentence(counterText(counter)?.meaning ?? counter);
    registry.counter({ name: `sapwood_${snakeCase(counter)}_total`, help }, () => [
      [{}, source.counters().counters[counter] ?? 0],
    ]);
  }
  const dropped = {
    name: "sapwood_dropped_packets_total",
    help: "Packets that were not forwarded, by direction and reason (docs/counters.md).",
    labels: ["direction", "reason"],
  };
  registry.counter(dropped, () =>
    Object.entries(source.counters().drops).flatMap(([direction, reasons]) =>
      Object.entries(reasons).map(([reason, count]): Sample => [{ direction, reason }, count]),
    ),
  );
  const kernel = {
    name: "sapwood_kernel_dropped_total",
    help: "What the kernel dropped before the data plane saw it.",
    labels: ["reason"],
  };
  registry.counter(kernel, () =>
    Object.entries(source.counters().kernel).map(([reason, count]) => [{ reason }, count]),
  );
  const batches = {
    name: "sapwood_batch_size",
    help: "Frames read from the TUN, or messages received from other nodes, at once.",
    labels: ["queue"],
  };
  registry.histogram(batches, BATCH_BOUNDS, () => {
    const { counters } = source.counters();
    const { tun, udp } = source.batches();
    return [
      { labels: { queue: "tun" }, classes: [...tun, 0], sum: counters.tunReadFrames ?? 0 },
      { labels: { queue: "udp" }, classes: [...udp, 0], sum: counters.udpReceivedMessages ?? 0 },
    ];
  });
  const cpu = {
    name: "sapwood_worker_cpu_seconds_total",
    help: "Processor time of a worker's thread; its rate is the share of the time in which the worker is busy.",
    labels: ["worker"],
  };
  registry.counter(cpu, () =>
    source
      .workerCpuMs()
      .flatMap((ms, worker): Sample[] => (ms === undefined ? [] : [[{ worker: `${worker}` }, ms / 1000]])),
  );
}

function describeProxy(registry: MetricRegistry, source: MetricsSource): void {
  const gauge = (name: string, help: string, read: (status: StatusReport) => number): void =>
    registry.gauge({ name, help }, () => [[{}, read(source.status())]]);
  const info = { name: "sapwood_build_info", help: "1, with the version and the node.", labels: ["version", "node"] };
  registry.gauge(info, () => {
    const { version, node } = source.status();
    return [[{ version, node }, 1]];
  });
  gauge("sapwood_table_generation", "Number of the tables in force.", ({ generation }) => generation);
  gauge("sapwood_flows", "Live flows.", ({ flows }) => flows.used);
  gauge("sapwood_flows_limit", "Live flows that there is room for.", ({ flows }) => flows.limit);
  gauge("sapwood_network_up", "1 while the TUN is up.", ({ network }) => Number(network.isUp));
  gauge("sapwood_network_problems", "What is wrong with the node's network.", ({ network }) => network.problems.length);
  gauge("sapwood_shared_memory_bytes", "Address space for tables and flows.", ({ memory }) => memory.sharedBytes);
  registry.counter({ name: "sapwood_network_repairs_total", help: "Times that the network was put back." }, () => [
    [{}, source.status().network.repairs],
  ]);
  registry.counter({ name: "sapwood_lost_log_lines_total", help: "Log lines that could not be written." }, () => [
    [{}, source.status().lostLogLines],
  ]);
  const restarts = { name: "sapwood_worker_restarts_total", help: "Restarts of a worker.", labels: ["worker"] };
  registry.counter(restarts, () =>
    source.status().workers.map(({ index, restarts }): Sample => [{ worker: `${index}` }, restarts]),
  );
  const offload = { name: "sapwood_offload_enabled", help: "1 while an offload is in force.", labels: ["offload"] };
  registry.gauge(offload, () =>
    source.status().offloads.map(({ name, on }): Sample => [{ offload: name }, Number(on)]),
  );
  const odd = {
    name: "sapwood_provider_odd_total",
    help: "What was left out of what an orchestrator said, by whether it was a part of a message or all of it.",
    labels: ["what"],
  };
  registry.counter(odd, () => {
    const { provider } = source.status();
    if (provider === undefined) return [];
    return [
      [{ what: "record" }, provider.oddRecords],
      [{ what: "message" }, provider.oddMessages],
    ];
  });
  registry.gauge({ name: "sapwood_provider_connected", help: "1 while an orchestrator can be reached." }, () => {
    const { provider } = source.status();
    return provider === undefined ? [] : [[{}, Number(provider.isConnected)]];
  });
  const reloads = { name: "sapwood_reloads_total", help: "Changes of the tables, by result.", labels: ["result"] };
  registry.counter(reloads, () => Object.entries(source.reloads()).map(([result, count]) => [{ result }, count]));
  registry.gauge({ name: "sapwood_last_reload_successful", help: "0 after a change that was refused." }, () => [
    [{}, Number(source.status().lastReload?.ok ?? true)],
  ]);
}

function describeTables(registry: MetricRegistry, source: MetricsSource): void {
  const labels = ["table"];
  const usage = (which: "used" | "limit") => (): Sample[] =>
    Object.entries(source.status().tables).map(([table, { [which]: count }]) => [{ table }, count]);
  registry.gauge({ name: "sapwood_table_entries", help: "Entries of a table.", labels }, usage("used"));
  registry.gauge(
    { name: "sapwood_table_entries_limit", help: "Entries that there is room for.", labels },
    usage("limit"),
  );
  const flows = {
    name: "sapwood_instance_flows",
    help: `Live flows of this node's clients to an instance; of the ${SERIES_MAX} instances that have most.`,
    labels: ["service", "instance", "node"],
  };
  registry.gauge(flows, () =>
    busiest(source.instances()).shown.map(
      ({ service, number, node, flows }): Sample => [{ service, instance: `${number}`, node }, flows],
    ),
  );
  const byHealth = { name: "sapwood_instances", help: "Instances in the tables, by their health.", labels: ["health"] };
  registry.gauge(byHealth, () => {
    const instances = source.instances();
    return INSTANCE_HEALTH.map((health) => [{ health }, instances.filter((one) => one.health === health).length]);
  });
  registry.gauge({ name: "sapwood_instances_left_out", help: "Instances without a series of their own." }, () => [
    [{}, busiest(source.instances()).leftOut.length],
  ]);
  registry.gauge({ name: "sapwood_instances_left_out_flows", help: "Live flows to these." }, () => [
    [{}, busiest(source.instances()).leftOut.reduce((sum, { flows }) => sum + flows, 0)],
  ]);
}

function describeNodes(registry: MetricRegistry, source: MetricsSource): void {
  const others = (): readonly NodeReport[] => shownNodes(source.nodes());
  const gauge = (name: string, help: string, read: (node: NodeReport) => number | null): void =>
    registry.gauge({ name, help, labels: ["node"] }, () =>
      others().flatMap((node): Sample[] => {
        const value = read(node);
        return value === null ? [] : [[{ node: node.id }, value]];
      }),
    );
  const state = {
    name: "sapwood_node_state",
    help: "1 for the state that another node is in; unknown: it never answered a probe.",
    labels: ["node", "state"],
  };
  registry.gauge(state, () =>
    others().flatMap((node) =>
      NODE_STATES.map((state): Sample => [{ node: node.id, state }, Number(node.state === state)]),
    ),
  );
  gauge("sapwood_node_round_trip_seconds", "Lowest of the last round trips.", ({ rttMs }) =>
    rttMs === null ? null : rttMs / 1000,
  );
  gauge("sapwood_node_path_mtu_bytes", "Largest packet that fits the way, once a limit was met.", ({ mtu }) => mtu);
  gauge("sapwood_node_probe_loss_ratio", "Part of the last 16 probes that was not answered.", ({ id }) =>
    source.probeLoss(id),
  );
  registry.gauge({ name: "sapwood_nodes_left_out", help: "Other nodes without series of their own." }, () => [
    [{}, source.nodes().filter(({ isLocal }) => !isLocal).length - others().length],
  ]);
}

function describeModules(registry: MetricRegistry, source: MetricsSource): void {
  const labels = ["policy"];
  const choices = { name: "sapwood_policy_calls_total", help: "Times that a policy was asked.", labels };
  registry.counter(choices, () => source.policies().map(({ name, choices }): Sample => [{ policy: name }, choices]));
  const faults = {
    name: "sapwood_policy_faults_total",
    help: "Times that a policy failed to choose, by kind (docs/control-api.md).",
    labels: ["policy", "fault"],
  };
  registry.counter(faults, () =>
    source
      .policies()
      .flatMap(({ name, faults }) =>
        Object.entries(faults).map(([fault, count]): Sample => [{ policy: name, fault }, count]),
      ),
  );
  const faulty = {
    name: "sapwood_policy_faulty",
    help: "1 for a policy whose module failed since it is there.",
    labels,
  };
  registry.gauge(faulty, () =>
    source.policies().map(({ name, state }): Sample => [{ policy: name }, Number(state === "faulty")]),
  );
  const bound = { name: "sapwood_policy_addresses", help: "Service addresses that a policy decides about.", labels };
  registry.gauge(bound, () => source.policies().map(({ name, addresses }): Sample => [{ policy: name }, addresses]));
  const module = { name: "sapwood_policy_module_info", help: "1, with the hash of a policy's module." };
  registry.gauge({ ...module, labels: ["policy", "sha256"] }, () =>
    source
      .policies()
      .flatMap(({ name, module }): Sample[] => (module === null ? [] : [[{ policy: name, sha256: module.sha256 }, 1]])),
  );
  const engine = { name: "sapwood_engine_module_info", help: "1, with the hash of the engine's module." };
  registry.gauge({ ...engine, labels: ["sha256", "layout_version"] }, () => {
    const { module, layoutVersion } = source.engine();
    return [[{ sha256: module.sha256, layout_version: `${layoutVersion}` }, 1]];
  });
  registry.histogram(
    { name: "sapwood_policy_choice_seconds", help: "Time of a choice, of every 64th one.", labels },
    CHOICE_BOUNDS_US.map((us) => us / 1e6),
    () =>
      source.policyTimes().map(({ policy, classes, sumSeconds }) => ({ labels: { policy }, classes, sum: sumSeconds })),
  );
}

/** The instances with most flows; among equals the first. */
function busiest(instances: readonly InstanceReport[]) {
  if (instances.length <= SERIES_MAX) return { shown: instances, leftOut: [] };
  const sorted = [...instances].sort((a, b) => b.flows - a.flows);
  return { shown: sorted.slice(0, SERIES_MAX), leftOut: sorted.slice(SERIES_MAX) };
}

/** The other nodes; where there are too many, those that do not answer first. */
function shownNodes(nodes: readonly NodeReport[]): readonly NodeReport[] {
  const others = nodes.filter(({ isLocal }) => !isLocal);
  if (others.length <= SERIES_MAX) return others;
  const rank = ({ state }: NodeReport): number => ["lost", "reachable", "unknown"].indexOf(state);
  return [...others].sort((a, b) => rank(a) - rank(b)).slice(0, SERIES_MAX);
}

/** "flowsOpened" -> "flows_opened". */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
