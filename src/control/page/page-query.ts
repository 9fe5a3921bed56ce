// What a client of the page asks its stream for, checked.

import * as z from "zod";
import { PAGE_VIEWS, type PageQuery, SERVICE_ORDERS } from "../../model/page-reports.ts";

const FILTER_LENGTH_MAX = 200;
const WHOLE_NUMBER = "a whole number of 0 or more";

const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, WHOLE_NUMBER)
  .default("0")
  .transform(Number);

export const STREAM_PARAMETERS = z.strictObject({
  view: z.enum(PAGE_VIEWS, { error: `one of ${PAGE_VIEWS.join(", ")}` }).default("overview"),
  filter: z.string().max(FILTER_LENGTH_MAX, `at most ${FILTER_LENGTH_MAX} characters`).default(""),
  offset: wholeNumber,
  order: z.enum(SERVICE_ORDERS, { error: `one of ${SERVICE_ORDERS.join(", ")}` }).default("name"),
  since: wholeNumber,
}) satisfies z.ZodType<PageQuery & { readonly since: number }>;
