// What the schemas of all reports are made of.

import * as z from "zod";

/** All that have a name in the description. */
export const REPORTS = z.registry<{ id: string }>();

export function list<Item extends z.ZodType>(item: Item) {
  return z.array(item).readonly();
}

export function report<Fields extends z.ZodRawShape>(id: string, fields: Fields) {
  return z.object(fields).readonly().register(REPORTS, { id });
}

export function reports<Item extends z.ZodType>(id: string, item: Item) {
  return list(item).register(REPORTS, { id });
}

export const count = z.int().nonnegative();
export const time = z.string().describe("ISO 8601");
export const ageMs = z.number();
