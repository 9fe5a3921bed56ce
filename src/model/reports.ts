// What the control socket answers: the schemas behind `--json`, which docs/control-api.md describes and the OpenAPI
// description is made from. Addresses are canonical text; a family that an instance lacks is absent from its list.

import * as z from "zod";
import type { ErrorDetail as ErrorDetailShape } from "../base/errors.ts";
import { FLOW_PROTOCOLS, type FlowProtocol } from "./flow-protocols.ts";
import { ageMs, count, list, REPORTS, report, reports, time } from "./report-schema.ts";
import { ENCRYPTIONS } from "./tables.ts";
import type { TRAFFIC_BY, TRAFFIC_SORTS } from "./traffic-orders.ts";

const ErrorDetail = report("ErrorDetail", {
  message: z.string(),
  file: z.string().optional(),
  line: count.optional().describe("from 1"),
  column: count.optional().describe("from 1, in characters"),
  field: z.string().optional(),
}) satisfies z.ZodType<ErrorDetailShape>;

export const ErrorBody = report("ErrorBody", {
  code: z.string().describe("one of the codes of docs/control-api.md"),
  message: z.string().describe("one sentence, or one line per detail"),
  details: list(ErrorDetail).describe("the single faults, where there may be several"),
});
export type ErrorBody = z.infer<typeof ErrorBody>;

/** The body of every answer that is not 200. */
export const ErrorReport = report("ErrorReport", { error: ErrorBody });
export type ErrorReport = z.infer<typeof ErrorReport>;

export const OffloadReport = report("OffloadReport", { name: z.string(), on: z.boolean(), reason: z.string() });
export type OffloadReport = z.infer<typeof OffloadReport>;
export const OffloadReports = reports("OffloadReports", OffloadReport);

export const UsageReport = report("UsageReport", { used: count, limit: count });
export type UsageReport = z.infer<typeof UsageReport>;

const WorkerReport = report("WorkerReport", { index: count, restarts: count });

/** What the kernel shows of the TUN, and what was done to keep it so. */
export const NetworkReport = report("NetworkReport", {
  isUp: z.boolean(),
  routes: list(z.string()).describe("service ranges that are routed into the TUN"),
  problems: list(z.string()).describe("sentences"),
  repairs: count.describe("how many times something was put back since the start"),
  lastRepair: z
    .object({ at: time, what: list(z.string()) })
    .readonly()
    .optional(),
});
export type NetworkReport = z.infer<typeof NetworkReport>;

/** The outcome of the last attempt to change the running tables. */
export const ReloadReport = report("ReloadReport", {
  at: time,
  source: z.string().describe("a file, or `control socket`"),
  ok: z.boolean(),
  generation: count.describe("in force afterwards"),
  error: ErrorBody.optional(),
  needRestart: list(z.string()).describe("settings that changed in the file and take effect at the next start only"),
});
export type ReloadReport = z.infer<typeof ReloadReport>;

const encryption = z.enum(ENCRYPTIONS);

/** Whether changes of the configuration file have an effect. */
export const ConfigReport = report("ConfigReport", {
  file: z.string().describe("absolute"),
  isFollowed: z.boolean(),
  problem: z.string().optional().describe("why not, or why changes are seen late"),
  refused: ErrorBody.optional().describe("why its present content is not in force"),
  needRestart: list(z.string()).optional().describe("its settings that take effect at the next start only"),
});
export type ConfigReport = z.infer<typeof ConfigReport>;

/** What a source of services beside the configuration has to say of itself. */
export const ProviderReport = report("ProviderReport", {
  name: z.string().describe("`oakestra`"),
  worker: z.string().nullable().describe("id that this node is registered under; null = it is not registered"),
  cluster: z.string().nullable().describe("name or address of the broker; null = the node is not registered"),
  isConnected: z.boolean().describe("whether the broker is there"),
  interests: count.describe("services whose changes this node hears of"),
  waitingMessages: count.describe("for the broker to be back"),
  oddRecords: count.describe("parts of the cluster's answers that were left out since the start; the log says why"),
  oddMessages: count.describe("messages of the cluster that were left out as a whole since the start"),
});
export type ProviderReport = z.infer<typeof ProviderReport>;

export const StatusReport = report("StatusReport", {
  version: z.string(),
  node: z.string(),
  pid: count,
  uptimeMs: ageMs,
  generation: count,
  config: ConfigReport,
  lastReload: ReloadReport.optional().describe("absent as long as nothing was changed since the start"),
  workers: list(WorkerReport),
  tun: z.object({ name: z.string(), mtu: count, queues: count }).readonly(),
  tunnel: z.object({ address: z.string(), port: count, encryption }).readonly(),
  network: NetworkReport,
  offloads: OffloadReports,
  flows: UsageReport,
  tables: z.record(z.string(), UsageReport).readonly(),
  memory: z.object({ rssBytes: count, sharedBytes: count }).readonly(),
  lostLogLines: count.describe("lines of the log that could not be written"),
  clockJumpMs: z.number().describe("how far the clock was set since the start; below 0: back"),
  provider: ProviderReport.optional().describe("absent unless services come from an orchestrator's provider"),
});
export type StatusReport = z.infer<typeof StatusReport>;

/** One service address. */
export const ServiceAddressReport = report("ServiceAddressReport", {
  service: z.string(),
  address: z.string(),
  policy: z.string(),
  candidates: count,
  draining: count.describe("of the candidates"),
});
export type ServiceAddressReport = z.infer<typeof ServiceAddressReport>;
export const ServiceAddressReports = reports("ServiceAddressReports", ServiceAddressReport);

/**
 * "unchecked": its service asks for no checks. "unknown": nothing is known yet, or its node does not say. "avoided":
 * new flows failed there, and those of the same clients go elsewhere. "unhealthy": checks failed, or new flows of many
 * clients.
 */
export const INSTANCE_HEALTH = ["unchecked", "unknown", "healthy", "avoided", "unhealthy"] as const;
const instanceHealth = z.enum(INSTANCE_HEALTH);

export const InstanceReport = report("InstanceReport", {
  service: z.string(),
  number: count,
  node: z.string(),
  isLocal: z.boolean(),
  namespaceAddresses: list(z.string()),
  instanceAddresses: list(z.string()),
  weight: count,
  draining: z.boolean(),
  flows: count.describe("of this node's clients to a service address, served by the instance now"),
  health: instanceHealth,
  healthAgeMs: ageMs.nullable().describe("since it is so; null = unchecked"),
  healthReason: z
    .string()
    .nullable()
    .describe("why the last check or the last flows failed; null = none did, or nothing is known"),
});
export type InstanceReport = z.infer<typeof InstanceReport>;
export const InstanceReports = reports("InstanceReports", InstanceReport);

const nodeState = z.enum(["unknown", "reachable", "lost"]);
/** "unknown": it never answered a probe. "lost": it did, and does not any more. */
export type NodeStateName = z.infer<typeof nodeState>;

export const NodeReport = report("NodeReport", {
  id: z.string(),
  isLocal: z.boolean(),
  underlay: z.object({ address: z.string(), port: count }).readonly(),
  encryption: encryption.describe("of the way to it"),
  publicKey: z.string().nullable().describe("WireGuard's; null = none is known"),
  state: nodeState,
  stateAgeMs: ageMs.nullable().describe("since it is so; null = from the start"),
  rttMs: z.number().nullable().describe("null = not measured"),
  distanceKm: z.number().nullable().describe("null = a location is missing"),
  lastReplyAgeMs: ageMs.nullable().describe("null = it never answered a probe"),
  mtu: count.nullable().describe("largest packet that fits the path in one piece, as probes proved; null = no limit"),
  instances: count,
});
export type NodeReport = z.infer<typeof NodeReport>;
export const NodeReports = reports("NodeReports", NodeReport);

const rate = z.number().nullable().describe("packets per second; null = nobody looked before");

/** A service, or an instance. */
export const TrafficRow = report("TrafficRow", {
  service: z.string(),
  instance: count.nullable().describe("null = all of the service"),
  node: z.string().nullable(),
  instances: count,
  flows: count.describe("live ones of this node's clients, those to instance addresses included"),
  outPerSecond: rate,
  inPerSecond: rate,
});
export type TrafficRow = z.infer<typeof TrafficRow>;

/** How busy services or instances are. */
export const TrafficReport = report("TrafficReport", {
  overMs: z.number().nullable().describe("time that the rates are of; null = nobody looked before"),
  totals: z
    .object({
      ...{ outPackets: z.number(), outBytes: z.number(), inPackets: z.number(), inBytes: z.number() },
      dropped: z.number(),
    })
    .readonly()
    .nullable()
    .describe("of the node, per second"),
  rowCount: count.describe("that there are"),
  rows: list(TrafficRow).describe("the first of them"),
});
export type TrafficReport = z.infer<typeof TrafficReport>;

export interface TrafficOrder {
  readonly by: (typeof TRAFFIC_BY)[number];
  readonly sort: (typeof TRAFFIC_SORTS)[number];
  readonly limit: number;
}

/** One round trip through the tunnel. */
export const PingReport = report("PingReport", {
  to: z.string().describe("as asked for"),
  node: z.string(),
  service: z.string().nullable().describe("null = a node was asked for"),
  instance: count.nullable(),
  isLocal: z.boolean().describe("it is this node: nothing is measured"),
  underlay: z.object({ address: z.string(), port: count }).readonly(),
  encryption: encryption.describe("of the way to it"),
  state: nodeState,
  mtu: count.nullable().describe("of the path; null = no limit was met"),
  rttMs: z.number().nullable().describe("null = the probe was not answered"),
});
export type PingReport = z.infer<typeof PingReport>;

/** Who this node is in the encrypted underlay. */
export const KeyReport = report("KeyReport", {
  publicKey: z.string().describe("base64, as `wg pubkey` writes it"),
  nextPublicKey: z.string().nullable().describe("of the key that is to replace it; null = there is none"),
  address: z.string().describe("inside, derived from the public key"),
  device: z.string().describe("the WireGuard interface"),
  port: count.describe("UDP"),
  backend: z.enum(["kernel", "wireguard-go"]),
});
export type KeyReport = z.infer<typeof KeyReport>;

export const FlowReport = report("FlowReport", {
  protocol: z.string().describe("`tcp`, `udp`, `icmp`, or the number of another one"),
  client: z.string(),
  clientPort: count.describe("of an echo its identifier; 0 = the protocol has no ports"),
  called: z.string(),
  calledPort: count,
  service: z.string().nullable().describe("null = its instance is no longer in the tables"),
  instance: count.nullable(),
  node: z.string().nullable(),
  state: z.string(),
  idleMs: ageMs,
  forwardPackets: count,
  reversePackets: count,
});
export type FlowReport = z.infer<typeof FlowReport>;

export const FlowsReport = report("FlowsReport", {
  matching: count.describe("flows that the query selects"),
  flows: list(FlowReport).describe("the first of them"),
});
export type FlowsReport = z.infer<typeof FlowsReport>;

export interface FlowQuery {
  readonly limit: number;
  readonly service?: string | undefined;
  readonly protocol?: FlowProtocol | undefined;
}
export const flowProtocol = z.enum(FLOW_PROTOCOLS, { error: `one of ${FLOW_PROTOCOLS.join(", ")}` });

/** A service address that workloads call and the tables do not hold. */
export const QuestionReport = report("QuestionReport", {
  address: z.string(),
  ageMs: ageMs.describe("since the first of the packets that wait"),
});
export type QuestionReport = z.infer<typeof QuestionReport>;
export const QuestionReports = reports("QuestionReports", QuestionReport);

const counts = z.record(z.string(), count).readonly();

/** Summed over workers; every counter, also those at 0. */
export const CountersReport = report("CountersReport", {
  counters: counts,
  drops: z.object({ egress: counts, ingress: counts }).readonly(),
  kernel: counts.describe("what the kernel dropped before the data plane saw it"),
});
export type CountersReport = z.infer<typeof CountersReport>;

export const AppliedReport = report("AppliedReport", {
  generation: count,
  nodes: count,
  services: count,
  instances: count,
});
export type AppliedReport = z.infer<typeof AppliedReport>;

/** By the field's name in a configuration; null = it was or will be absent. */
export const FieldChange = report("FieldChange", { field: z.string(), before: z.unknown(), after: z.unknown() });
export type FieldChange = z.infer<typeof FieldChange>;

export interface ListDifference<Told, Change> {
  readonly added: readonly Told[];
  readonly removed: readonly Told[];
  readonly changed: readonly Change[];
}

function difference<Told extends z.ZodType, Change extends z.ZodType>(told: Told, change: Change) {
  return z.object({ added: list(told), removed: list(told), changed: list(change) }).readonly();
}

function changeOf<Name extends z.ZodRawShape>(name: Name) {
  return z.object({ ...name, fields: list(FieldChange) }).readonly();
}

export const ServiceDifference = report("ServiceDifference", {
  name: z.string(),
  fields: list(FieldChange).describe("of the service itself"),
  addresses: difference(
    z.object({ address: z.string(), policy: z.string() }).readonly(),
    changeOf({ address: z.string() }),
  ),
  instances: difference(z.object({ number: count, node: z.string() }).readonly(), changeOf({ number: count })),
});
export type ServiceDifference = z.infer<typeof ServiceDifference>;

/** What a change of the tables would do, as the answer of a dry run. */
export const DifferenceReport = report("DifferenceReport", {
  generation: count.describe("in force, and compared with"),
  nodes: difference(z.string(), changeOf({ id: z.string() })),
  services: difference(z.string(), ServiceDifference),
});
export type DifferenceReport = z.infer<typeof DifferenceReport>;

/** Nodes and services with the fields of the configuration file. */
export const TablesDocument = report("TablesDocument", {
  nodes: list(z.looseObject({ id: z.string() })),
  services: list(z.looseObject({ name: z.string() })),
});
export type TablesDocument = z.infer<typeof TablesDocument>;

const EVENT_KINDS = [
  "instance-healthy",
  "instance-unhealthy",
  "instance-avoided",
  "node-found",
  "node-lost",
  "path-mtu",
  "offload-refused",
  "policy-faulty",
  "policy-swapped",
  "engine-faulty",
  "engine-swapped",
  "tables-applied",
  "reload-refused",
  "flow-table-full",
  "worker-restarted",
  "network-repaired",
  "network-problem",
  "taken-over",
  "takeover-failed",
  "underlay-changed",
  "workloads-unreachable",
  "sends-refused",
  "out-of-descriptors",
  "log-unwritable",
  "state-unwritable",
  "state-unusable",
  "clock-jumped",
  "process-paused",
  "recovered",
  "proxy-ending",
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** Something that happened to the proxy. */
export const EventReport = report("EventReport", {
  id: count.describe("grows by 1"),
  at: time,
  kind: z.enum(EVENT_KINDS),
  subject: z.string().nullable().describe("a node, instance, policy, offload, worker or file"),
  message: z.string().describe("one sentence"),
  advice: z.string().nullable().describe("what to do about it"),
  untold: count.describe("the same about this subject, left out since the last one because there were too many"),
});
export type EventReport = z.infer<typeof EventReport>;
export const EventReports = reports("EventReports", EventReport);

export const TakeoverReport = report("TakeoverReport", { pid: count.describe("of the process that called back") });

/** Which of the other nodes must not be lost for this one to be ready. */
export const READY_PEERS = ["any", "all", "none"] as const;
export type ReadyPeers = (typeof READY_PEERS)[number];

export const HealthCheck = report("HealthCheck", { name: z.string(), ok: z.boolean(), message: z.string() });
export type HealthCheck = z.infer<typeof HealthCheck>;

/** The answer of /healthz and /readyz. */
export const HealthReport = report("HealthReport", { ok: z.boolean(), checks: list(HealthCheck) });
export type HealthReport = z.infer<typeof HealthReport>;

/** The answer of /metrics. */
export const MetricsText = z.string().describe("Prometheus' text format").register(REPORTS, { id: "MetricsText" });

/** The answer of /v1/capture. */
export const CaptureFile = z.string().describe("a pcapng file, as bytes").register(REPORTS, { id: "CaptureFile" });
