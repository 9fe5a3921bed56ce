// How it goes and what happened: metrics, health, events.

import * as z from "zod";
import { ExplanationReport } from "../../../model/explanation-report.ts";
import { CaptureFile, EventReports, HealthReport, MetricsText, PingReport } from "../../../model/reports.ts";
import { CAPTURE_PARAMETERS } from "../../observe/capture-request.ts";
import { CAPTURE_CONTENT_TYPE, type Captures } from "../../observe/captures.ts";
import type { Observation } from "../../observe/observation.ts";
import { flag, type Route, routesOn } from "../route.ts";

export interface ObservationParts {
  readonly observation: Pick<Observation, "followEvents"> & {
    readonly pages: Pick<Observation["pages"], "page">;
    readonly events: Pick<Observation["events"], "all">;
    readonly explainer: Pick<Observation["explainer"], "explain">;
    readonly pinger: Pick<Observation["pinger"], "ping">;
  };
  readonly captures: Pick<Captures, "open">;
}

const ORDER_MAX_BYTES = 65_536;
const pingOrder = z.object({ to: z.string({ error: "a node or an address" }) });

const route = routesOn<ObservationParts>();

export const OBSERVATION_ROUTES: readonly Route<ObservationParts>[] = [
  route({
    method: "GET",
    path: "/v1/events",
    summary: "What happened; with `follow` one JSON object a line, as it happens",
    query: z.strictObject({ follow: flag }),
    answers: EventReports,
    handle: ({ observation }, { query }) => (query.follow ? observation.followEvents() : observation.events.all()),
  }),
  route({
    method: "GET",
    path: "/v1/explain",
    summary: "What would happen to a packet; nothing is sent",
    query: z.strictObject({ to: z.string().default(""), from: z.string().optional() }),
    answers: ExplanationReport,
    handle: ({ observation }, { query }) => observation.explainer.explain(query.to, query.from),
  }),
  route({
    method: "POST",
    path: "/v1/ping",
    summary: "One round trip to a node, by the next probe",
    body: { type: "application/json", mostBytes: ORDER_MAX_BYTES, schema: pingOrder },
    answers: PingReport,
    handle: ({ observation }, { body }) => observation.pinger.ping(body.to),
  }),
  route({
    method: "GET",
    path: "/v1/capture",
    summary: "Packets as they pass, with what happened to them, until a limit or the client ends it",
    query: CAPTURE_PARAMETERS,
    answers: CaptureFile,
    media: CAPTURE_CONTENT_TYPE,
    handle: ({ captures }, { query }) => captures.open(query),
  }),
  route({
    method: "GET",
    path: "/metrics",
    summary: "Metrics for Prometheus",
    answers: MetricsText,
    media: "text/plain",
    handle: ({ observation }) => observation.pages.page("/metrics"),
  }),
  route({
    method: "GET",
    path: "/healthz",
    summary: "Whether the proxy is alive; status 503 when it is not",
    answers: HealthReport,
    handle: ({ observation }) => observation.pages.page("/healthz"),
  }),
  route({
    method: "GET",
    path: "/readyz",
    summary: "Whether it serves packets; status 503 when it does not",
    answers: HealthReport,
    handle: ({ observation }) => observation.pages.page("/readyz"),
  }),
];
