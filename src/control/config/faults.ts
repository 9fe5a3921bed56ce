// The faults that a test has the devices of a proxy make, read from the text of a variable (docs/testing.md).

import * as z from "zod";
import type { FaultSettings } from "../../dataplane/io/fault-settings.ts";
import { errnoOf } from "../../sys/libc.ts";
import { ConfigDocument } from "./config-document.ts";
import { between, list, section, whole } from "./schema-parts.ts";

const DELAY_MS = 10;
const DELAY_MAX_MS = 10_000;
/** A call that was interrupted is made again until it was not. */
const ERROR_MAX = 0.9;

const share = between(0, 1, "a share").default(0);

const errno = z.string("expected the name of an error number, EIO say").transform((name, context) => {
  const number = errnoOf(name);
  if (number !== undefined) return number;
  context.addIssue("expected the name of an error number, EIO say");
  return z.NEVER;
});

const device = section({
  drop: share,
  duplicate: share,
  reorder: share,
  delay: share,
  truncate: share,
  corrupt: share,
  delayMs: between(0, DELAY_MAX_MS, "milliseconds").default(DELAY_MS),
  error: between(0, ERROR_MAX, "a share").default(0),
  errnos: list(errno).default([]),
  short: share,
}).refine(({ error, errnos }) => error === 0 || errnos.length > 0, {
  path: ["errnos"],
  error: "expected the names of error numbers, as there is a share of errors",
});

const faults = section({
  seed: whole(0, 0xffffffff, "a seed"),
  tun: device.prefault({}),
  tunnel: device.prefault({}),
});

/** Throws config-invalid, which names the field, what was expected and what was found. */
export function parseFaults(text: string, name: string): FaultSettings {
  return new ConfigDocument(text, name).parse(faults);
}
