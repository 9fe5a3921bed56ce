// A service of a text that is not written plainly, read as a text of its own by those who know everything: the schema
// and the bindings.

import type { Service } from "../../model/tables.ts";
import { bindPolicies, type PolicyBinding } from "../tables/policy-bindings.ts";
import { serviceSchema } from "./config-schema.ts";
import { NotPlain } from "./json-cursor.ts";
import { checkJsonNesting, countFields, NESTING_MAX } from "./nesting.ts";

/** Levels of a text that are around each of its services. */
const LEVELS_AROUND = 2;

/** Throws NotPlain when there is anything to be said of it. */
export function unusualService(bytes: Uint8Array, bindings: readonly PolicyBinding[]): Service {
  const written = serviceSchema.safeParse(jsonOf(bytes));
  if (!written.success) throw new NotPlain();
  const { services, issues } = bindPolicies([written.data], bindings);
  const [service] = services;
  if (service === undefined || issues.length > 0) throw new NotPlain();
  return service;
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const fields = checkJsonNesting(text, () => new NotPlain(), NESTING_MAX - LEVELS_AROUND);
    const value: unknown = JSON.parse(text);
    if (countFields(value) === fields) return value;
  } catch {
    // No UTF-8, too deep, or no JSON.
  }
  throw new NotPlain();
}
