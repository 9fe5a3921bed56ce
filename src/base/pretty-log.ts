// The log for people: one event per paragraph, with colours where a terminal shows them. Apart from log.ts, because
// only a proxy that a person watches needs the library.

import { prettyFactory } from "pino-pretty";
import { type LogTarget, STDERR_LINES } from "./log.ts";
import { printable } from "./printable.ts";

const CONTINUED = "\n    ";

/** Takes the lines of the logger. */
export function prettyLines(isColored: boolean, out: LogTarget = STDERR_LINES): LogTarget {
  const format = prettyFactory({ colorize: isColored, translateTime: "SYS:yyyy-mm-dd HH:MM:ss.l" });
  return { write: (line) => out.write(format(harmless(JSON.parse(line)))) };
}

/** The library writes texts as they are. Their further lines are indented, so that none looks like an event. */
function harmless(value: unknown): unknown {
  if (typeof value === "string") return printable(value).replaceAll("\n", CONTINUED);
  if (Array.isArray(value)) return value.map(harmless);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [String(harmless(name)), harmless(field)]));
}
