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
  const byDirection = (name: string, help: string): void =>
    registry.counter(name, help, ["direction"], () => {
      const { counters } = source.counters();
      return Object.entries(BY_DIRECTION)
        .filter(([, [metric]]) => metric === name)
        .map(([counter, [, direction]]) => [direction, counters[counter] ?? 0]);
    });
  byDirection("sapwood_packets_total", "Inner IP packets, by the direction that they go.");
  byDirection("sapwood_bytes_total", "Their bytes, IP headers included.");
  for (const counter of Object.keys(source.counters().counters)) {
    if (Object.hasOwn(BY_DIRECTION, counter)) continue;
    const help = sentence(counterText(counter)?.meaning ?? counter);
    registry.counter(`sapwood_${snakeCase(counter)}_total`, help, [], () => source.counters().counters[counter] ?? 0);
  }
  const dropped = "Packets that were not forwarded, by direction and reason (docs/counters.md).";
  registry.counter("sapwood_dropped_packets_total", dropped, ["direction", "reason"], () =>
    Object.entries(source.counters().drops).flatMap(([direction, reasons]) =>
      Object.entries(reasons).map(([reason, count]): Sample => [direction, reason, count]),
    ),
  );
  const kernel = "What the kernel dropped before the data plane saw it.";
  registry.counter("sapwood_kernel_dropped_total", kernel, ["reason"], () => Object.entries(source.counters().kernel));
  const batch = "Frames read from the TUN, or messages received from other nodes, at once.";
  registry.histogram("sapwood_batch_size", batch, "queue", BATCH_BOUNDS, () => {
    const { counters } = source.counters();
    const { tun, udp } = source.batches();
    return [
      { label: "tun", classes: [...tun, 0], sum: counters.tunReadFrames ?? 0 },
      { label: "udp", classes: [...udp, 0], sum: counters.udpReceivedMessages ?? 0 },
    ];
  });
  const cpu = "Processor time of a worker's thread; its rate is the share of the time in which the worker is busy.";
  registry.counter("sapwood_worker_cpu_seconds_total", cpu, ["worker"], () =>
    source.workerCpuMs().flatMap((ms, worker): Sample[] => (ms === undefined ? [] : [[worker, ms / 1000]])),
  );
}

function describeProxy(registry: MetricRegistry, source: MetricsSource): void {
  const gauge = (name: string, help: string, read: (status: StatusReport) => number | undefined): void =>
    registry.gauge(name, help, [], () => read(source.status()));
  const counter = (name: string, help: string, read: (status: StatusReport) => number): void =>
    registry.counter(name, help, [], () => read(source.status()));
  registry.gauge("sapwood_build_info", "1, with the version and the node.", ["version", "node"], () => {
    const { version, node } = source.status();
    return [[version, node, 1]];
  });
  gauge("sapwood_table_generation", "Number of the tables in force.", ({ generation }) => generation);
  gauge("sapwood_flows", "Live flows.", ({ flows }) => flows.used);
  gauge("sapwood_flows_limit", "Live flows that there is room for.", ({ flows }) => flows.limit);
  gauge("sapwood_network_up", "1 while the TUN is up.", ({ network }) => Number(network.isUp));
  gauge("sapwood_network_problems", "What is wrong with the node's network.", ({ network }) => network.problems.length);
  gauge("sapwood_shared_memory_bytes", "Address space for tables and flows.", ({ memory }) => memory.sharedBytes);
  counter("sapwood_network_repairs_total", "Times that the network was put back.", ({ network }) => network.repairs);
  counter("sapwood_lost_log_lines_total", "Log lines that could not be written.", ({ lostLogLines }) => lostLogLines);
  registry.counter("sapwood_worker_restarts_total", "Restarts of a worker.", ["worker"], () =>
    source.status().workers.map(({ index, restarts }) => [index, restarts]),
  );
  registry.gauge("sapwood_offload_enabled", "1 while an offload is in force.", ["offload"], () =>
    source.status().offloads.map(({ name, on }) => [name, Number(on)]),
  );
  const odd = "What was left out of what an orchestrator said, by whether it was a part of a message or all of it.";
  registry.counter("sapwood_provider_odd_total", odd, ["what"], () => {
    const { provider } = source.status();
    return provider && [["record", provider.oddRecords] as const, ["message", provider.oddMessages] as const];
  });
  gauge(
    "sapwood_provider_connected",
    "1 while an orchestrator can be reached.",
    ({ provider }) => provider && Number(provider.isConnected),
  );
  registry.counter("sapwood_reloads_total", "Changes of the tables, by result.", ["result"], () =>
    Object.entries(source.reloads()),
  );
  gauge("sapwood_last_reload_successful", "0 as long as the configuration file's content is refused.", ({ config }) =>
    Number(config.refused === undefined),
  );
}

function describeTables(registry: MetricRegistry, source: MetricsSource): void {
  const usage = (which: "used" | "limit") => (): Sample[] =>
    Object.entries(source.status().tables).map(([table, { [which]: count }]) => [table, count]);
  registry.gauge("sapwood_table_entries", "Entries of a table.", ["table"], usage("used"));
  registry.gauge("sapwood_table_entries_limit", "Entries that there is room for.", ["table"], usage("limit"));
  const flows = `Live flows of this node's clients to an instance; of the ${SERIES_MAX} instances that have most.`;
  registry.gauge("sapwood_instance_flows", flows, ["service", "instance", "node"], () =>
    busiest(source.instances()).shown.map(({ service, number, node, flows }) => [service, number, node, flows]),
  );
  registry.gauge("sapwood_instances", "Instances in the tables, by their health.", ["health"], () => {
    const instances = source.instances();
    return INSTANCE_HEALTH.map((health) => [health, instances.filter((one) => one.health === health).length]);
  });
  const leftOut = () => busiest(source.instances()).leftOut;
  const instancesHelp = "Instances without a series of their own.";
  registry.gauge("sapwood_instances_left_out", instancesHelp, [], () => leftOut().length);
  registry.gauge("sapwood_instances_left_out_flows", "Live flows to these.", [], () =>
    leftOut().reduce((sum, { flows }) => sum + flows, 0),
  );
}

function describeNodes(registry: MetricRegistry, source: MetricsSource): void {
  const others = (): readonly NodeReport[] => shownNodes(source.nodes());
  const gauge = (name: string, help: string, read: (node: NodeReport) => number | null): void =>
    registry.gauge(name, help, ["node"], () =>
      others().flatMap((node): Sample[] => {
        const value = read(node);
        return value === null ? [] : [[node.id, value]];
      }),
    );
  const state = "1 for the state that another node is in; unknown: it never answered a probe.";
  registry.gauge("sapwood_node_state", state, ["node", "state"], () =>
    others().flatMap((node) => NODE_STATES.map((state): Sample => [node.id, state, Number(node.state === state)])),
  );
  gauge("sapwood_node_round_trip_seconds", "Lowest of the last round trips.", ({ rttMs }) =>
    rttMs === null ? null : rttMs / 1000,
  );
  gauge("sapwood_node_path_mtu_bytes", "Largest packet that fits the way, once a limit was met.", ({ mtu }) => mtu);
  gauge("sapwood_node_probe_loss_ratio", "Part of the last 16 probes that was not answered.", ({ id }) =>
    source.probeLoss(id),
  );
  const leftOut = "Other nodes without series of their own.";
  registry.gauge("sapwood_nodes_left_out", leftOut, [], () => {
    return source.nodes().filter(({ isLocal }) => !isLocal).length - others().length;
  });
}

function describeModules(registry: MetricRegistry, source: MetricsSource): void {
  const byPolicy = ["policy"];
  registry.counter("sapwood_policy_calls_total", "Times that a policy was asked.", byPolicy, () =>
    source.policies().map(({ name, choices }) => [name, choices]),
  );
  const faults = "Times that a policy failed to choose, by kind (docs/control-api.md).";
  registry.counter("sapwood_policy_faults_total", faults, ["policy", "fault"], () =>
    source
      .policies()
      .flatMap(({ name, faults }) => Object.entries(faults).map(([fault, count]): Sample => [name, fault, count])),
  );
  registry.gauge("sapwood_policy_faulty", "1 for a policy whose module failed since it is there.", byPolicy, () =>
    source.policies().map(({ name, state }) => [name, Number(state === "faulty")]),
  );
  registry.gauge("sapwood_policy_addresses", "Service addresses that a policy decides about.", byPolicy, () =>
    source.policies().map(({ name, addresses }) => [name, addresses]),
  );
  const policyModule = "1, with the hash of a policy's module.";
  registry.gauge("sapwood_policy_module_info", policyModule, ["policy", "sha256"], () =>
    source.policies().flatMap(({ name, module }): Sample[] => (module === null ? [] : [[name, module.sha256, 1]])),
  );
  const engineModule = "1, with the hash of the engine's module.";
  registry.gauge("sapwood_engine_module_info", engineModule, ["sha256", "layout_version"], () => {
    const { module, layoutVersion } = source.engine();
    return [[module.sha256, layoutVersion, 1]];
  });
  const choiceHelp = "Time of a choice, of every 64th one.";
  const choiceBounds = CHOICE_BOUNDS_US.map((us) => us / 1e6);
  registry.histogram("sapwood_policy_choice_seconds", choiceHelp, "policy", choiceBounds, () =>
    source.policyTimes().map(({ policy, classes, sumSeconds }) => ({ label: policy, classes, sum: sumSeconds })),
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
