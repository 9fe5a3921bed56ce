// What there is: the proxy itself, services, instances, nodes, flows and counters.

import { z } from "zod";
import { canonicalName } from "../../../model/names.ts";
import {
  CountersReport,
  type FlowQuery,
  FlowsReport,
  flowProtocol,
  InstanceReports,
  NodeReports,
  ServiceAddressReports,
  StatusReport,
  TablesDocument,
} from "../../../model/reports.ts";
import type { Reporter } from "../../observe/reporter.ts";
import { JsonText, NO_PARAMETERS, type Route, routesOn } from "../route.ts";

export interface StatusParts {
  readonly status: () => StatusReport;
  readonly reporter: Pick<Reporter, "services" | "instances" | "nodes" | "flows" | "counters" | "tables">;
}

const FLOW_LIMIT_DEFAULT = 100;
const WHOLE_NUMBER = "a whole number of 1 or more";

const flowQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^[0-9]+$/, WHOLE_NUMBER)
    .transform(Number)
    .refine((limit) => Number.isSafeInteger(limit) && limit >= 1, WHOLE_NUMBER)
    .default(FLOW_LIMIT_DEFAULT),
  service: z.string().transform(canonicalName).optional(),
  protocol: flowProtocol.optional(),
}) satisfies z.ZodType<FlowQuery>;

const route = routesOn<StatusParts>();
const read = { method: "GET", query: NO_PARAMETERS, body: undefined } as const;

export const STATUS_ROUTES: readonly Route<StatusParts>[] = [
  route({
    ...read,
    path: "/v1/status",
    summary: "What is open, and how much of it is in use",
    answers: StatusReport,
    handle: ({ status }) => status(),
  }),
  route({
    ...read,
    path: "/v1/services",
    summary: "Service addresses",
    answers: ServiceAddressReports,
    handle: ({ reporter }) => reporter.services(),
  }),
  route({
    ...read,
    path: "/v1/instances",
    summary: "Instances",
    answers: InstanceReports,
    handle: ({ reporter }) => reporter.instances(),
  }),
  route({
    ...read,
    path: "/v1/nodes",
    summary: "Nodes",
    answers: NodeReports,
    handle: ({ reporter }) => reporter.nodes(),
  }),
  route({
    ...read,
    path: "/v1/flows",
    summary: "Flows that a query selects",
    query: flowQuery,
    answers: FlowsReport,
    handle: ({ reporter }, { query }) => reporter.flows(query),
  }),
  route({
    ...read,
    path: "/v1/tables",
    summary: "Nodes and services in force, as a document that can be applied",
    answers: TablesDocument,
    handle: ({ reporter }) => new JsonText(reporter.tables()),
  }),
  route({
    ...read,
    path: "/v1/counters",
    summary: "Counters, and dropped packets by reason",
    answers: CountersReport,
    handle: ({ reporter }) => reporter.counters(),
  }),
];
