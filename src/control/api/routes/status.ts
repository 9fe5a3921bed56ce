// What there is: the proxy itself, services, instances, nodes, flows and counters.

import * as z from "zod";
import { listJson } from "../../../base/pieces.ts";
import { canonicalName } from "../../../model/names.ts";
import {
  CountersReport,
  type FlowQuery,
  FlowsReport,
  flowProtocol,
  type InstanceReport,
  InstanceReports,
  NodeReports,
  type ServiceAddressReport,
  ServiceAddressReports,
  StatusReport,
  TablesDocument,
  type TrafficOrder,
  TrafficReport,
} from "../../../model/reports.ts";
import { TRAFFIC_BY, TRAFFIC_SORTS } from "../../../model/traffic-orders.ts";
import type { Reporter } from "../../observe/reporter.ts";
import type { Traffic } from "../../observe/traffic.ts";
import { JsonText, type Route, routesOn } from "../route.ts";

export interface StatusParts {
  readonly status: () => StatusReport;
  readonly traffic: Pick<Traffic, "report">;
  readonly reporter: Pick<Reporter, "nodes" | "flows" | "counters" | "tables"> & {
    services(): Iterable<ServiceAddressReport>;
    instances(): Iterable<InstanceReport>;
  };
}

const FLOW_LIMIT_DEFAULT = 100;
const TRAFFIC_LIMIT_DEFAULT = 20;
const TRAFFIC_LIMIT_MAX = 1000;
const WHOLE_NUMBER = "a whole number of 1 or more";

const limit = z
  .string()
  .regex(/^[0-9]+$/, WHOLE_NUMBER)
  .transform(Number)
  .refine((number) => Number.isSafeInteger(number) && number >= 1, WHOLE_NUMBER);

const flowQuery = z.strictObject({
  limit: limit.default(FLOW_LIMIT_DEFAULT),
  service: z.string().transform(canonicalName).optional(),
  protocol: flowProtocol.optional(),
}) satisfies z.ZodType<FlowQuery>;

const trafficQuery = z.strictObject({
  by: z.enum(TRAFFIC_BY, { error: `one of ${TRAFFIC_BY.join(", ")}` }).default("service"),
  sort: z.enum(TRAFFIC_SORTS, { error: `one of ${TRAFFIC_SORTS.join(", ")}` }).default("packets"),
  limit: limit.default(TRAFFIC_LIMIT_DEFAULT).transform((number) => Math.min(number, TRAFFIC_LIMIT_MAX)),
}) satisfies z.ZodType<TrafficOrder>;

const route = routesOn<StatusParts>();

export const STATUS_ROUTES: readonly Route<StatusParts>[] = [
  route({
    method: "GET",
    path: "/v1/status",
    summary: "What is open, and how much of it is in use",
    answers: StatusReport,
    handle: ({ status }) => status(),
  }),
  route({
    method: "GET",
    path: "/v1/services",
    summary: "Service addresses",
    answers: ServiceAddressReports,
    handle: ({ reporter }) => new JsonText(listJson(reporter.services())),
  }),
  route({
    method: "GET",
    path: "/v1/instances",
    summary: "Instances",
    answers: InstanceReports,
    handle: ({ reporter }) => new JsonText(listJson(reporter.instances())),
  }),
  route({
    method: "GET",
    path: "/v1/nodes",
    summary: "Nodes",
    answers: NodeReports,
    handle: ({ reporter }) => reporter.nodes(),
  }),
  route({
    method: "GET",
    path: "/v1/flows",
    summary: "Flows that a query selects",
    query: flowQuery,
    answers: FlowsReport,
    handle: ({ reporter }, { query }) => reporter.flows(query),
  }),
  route({
    method: "GET",
    path: "/v1/traffic",
    summary: "How busy services or instances are",
    query: trafficQuery,
    answers: TrafficReport,
    handle: ({ traffic }, { query }) => traffic.report(query),
  }),
  route({
    method: "GET",
    path: "/v1/tables",
    summary: "Nodes and services in force, as a document that can be applied",
    answers: TablesDocument,
    handle: ({ reporter }) => new JsonText(reporter.tables()),
  }),
  route({
    method: "GET",
    path: "/v1/counters",
    summary: "Counters, and dropped packets by reason",
    answers: CountersReport,
    handle: ({ reporter }) => reporter.counters(),
  }),
];
