// Changes of nodes and services, and the addresses that are asked for.

import * as z from "zod";
import { parseDuration } from "../../../base/duration.ts";
import { canonicalName } from "../../../model/names.ts";
import { AppliedReport, DifferenceReport, type QuestionReport, QuestionReports } from "../../../model/reports.ts";
import { TEXT_BYTES_MAX } from "../../../sys/user-file.ts";
import type { WrittenText } from "../../config/text-reader.ts";
import type { DrainOrder } from "../../tables/draining.ts";
import type { Questions } from "../../tables/questions.ts";
import { flag, type Route, routesOn } from "../route.ts";

export interface TableParts {
  readonly tables: {
    /** Replaces nodes and services by those of a YAML or JSON text, as one generation. */
    applyText(text: WrittenText, allowEmpty: boolean): Promise<AppliedReport>;
    /** Sets and removes some of them and leaves the others as they are, as one generation. */
    mergeText(text: WrittenText, allowEmpty: boolean): Promise<AppliedReport>;
    /** What these two would change. */
    previewText(text: WrittenText, allowEmpty: boolean): Promise<DifferenceReport>;
    previewMerge(text: WrittenText, allowEmpty: boolean): Promise<DifferenceReport>;
    /** Has instances take no new flows, or take them again. */
    drain(order: DrainOrder): Promise<AppliedReport>;
  };
  readonly questions: { next(waitMs: number): Promise<readonly QuestionReport[]> } & Pick<Questions, "refuse">;
}

const REFUSALS_MAX_BYTES = 64 * 1024 * 1024;
/** Below the time in which a request has to be finished. */
const QUESTION_WAIT_MAX_MS = 25_000;
const WAIT = `a duration of at most ${QUESTION_WAIT_MAX_MS}ms`;

const ORDER_MAX_BYTES = 65_536;
const drainOrder = z.strictObject({
  node: z.string({ error: "a node's id" }).transform(canonicalName).optional(),
  service: z.string({ error: "a service's name" }).transform(canonicalName).optional(),
  instance: z.int({ error: "an instance's number" }).nonnegative("an instance's number").optional(),
  draining: z.boolean({ error: "true or false" }).default(true),
}) satisfies z.ZodType<DrainOrder>;

const change = {
  changes: "tables",
  path: "/v1/tables",
  query: z.strictObject({ allowEmpty: flag, dryRun: flag }),
  body: { type: "application/yaml", mostBytes: TEXT_BYTES_MAX },
  answers: z.union([AppliedReport, DifferenceReport]),
} as const;
const addressText = z.string({ error: "an IPv4 or IPv6 address" });
const route = routesOn<TableParts>();

export const TABLE_ROUTES: readonly Route<TableParts>[] = [
  route({
    ...change,
    method: "POST",
    summary: "Replaces nodes and services, or only tells what that would change",
    handle: ({ tables }, { query: { allowEmpty, dryRun }, body }) =>
      dryRun ? tables.previewText(body, allowEmpty) : tables.applyText(body, allowEmpty),
  }),
  route({
    ...change,
    method: "PATCH",
    summary: "Changes some of the nodes and services, or only tells what that would change",
    handle: ({ tables }, { query: { allowEmpty, dryRun }, body }) =>
      dryRun ? tables.previewMerge(body, allowEmpty) : tables.mergeText(body, allowEmpty),
  }),
  route({
    method: "POST",
    changes: "tables",
    path: "/v1/drain",
    summary: "Has an instance, or all of a node or a service, take no new flows, or take them again",
    body: { type: "application/json", mostBytes: ORDER_MAX_BYTES, schema: drainOrder },
    answers: AppliedReport,
    handle: ({ tables }, { body }) => tables.drain(body),
  }),
  route({
    method: "GET",
    path: "/v1/questions",
    summary: "Addresses that are asked for: at once, or as soon as there is one",
    query: z.strictObject({
      wait: z
        .string()
        .default("0")
        .transform((wait) => parseDuration(wait) ?? Number.POSITIVE_INFINITY)
        .refine((waitMs) => waitMs <= QUESTION_WAIT_MAX_MS, WAIT),
    }),
    answers: QuestionReports,
    handle: ({ questions }, { query }) => open(questions, query.wait),
  }),
  route({
    method: "POST",
    path: "/v1/questions/refuse",
    summary: "Refuses the packets to addresses that are asked for",
    body: {
      type: "application/json",
      mostBytes: REFUSALS_MAX_BYTES,
      schema: z.union([z.object({ addresses: z.array(addressText) }), z.object({ address: addressText })], {
        error: "address, or addresses as a list of IPv4 and IPv6 addresses",
      }),
    },
    answers: QuestionReports,
    handle: ({ questions }, { body }) => {
      questions.refuse("addresses" in body ? body.addresses : [body.address]);
      return open(questions, 0);
    },
  }),
];

async function open(questions: TableParts["questions"], waitMs: number): Promise<QuestionReport[]> {
  return (await questions.next(waitMs)).map(({ address, ageMs }) => ({ address, ageMs }));
}
