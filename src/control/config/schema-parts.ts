// Parts of which schemas are made. Their messages say what was expected; config-document.ts adds what was found.

import * as z from "zod";

/** A mapping with these fields and no others. An unknown field's message is the list of the known ones. */
export function section<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: ({ code }) => (code === "unrecognized_keys" ? known : `expected fields (${known})`),
  });
}

export function list<Item extends z.ZodType>(item: Item) {
  return z.array(item, "expected a list");
}

export function whole(least: number, most: number, what: string) {
  const expected = `expected ${what} from ${least} to ${most}`;
  return z.int(expected).min(least, expected).max(most, expected);
}

export function between(least: number, most: number, what: string) {
  const expected = `expected ${what} from ${least} to ${most}`;
  return z.number(expected).min(least, expected).max(most, expected);
}
