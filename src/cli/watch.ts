// Asks again and again, and shows each answer in the place of the one before.

import { setTimeout } from "node:timers/promises";
import { parseDuration } from "../base/duration.ts";
import { SapwoodError } from "../base/errors.ts";
import type { CommandInput } from "./command.ts";

const DEFAULT_INTERVAL_MS = 1_000;
const LEAST_MS = 100;

/** Milliseconds between two answers; undefined when --watch is not given. Throws usage. */
export function watchInterval(input: CommandInput): number | undefined {
  if (input.flag("watch")) return DEFAULT_INTERVAL_MS;
  const given = input.optionalText("watch");
  if (given === undefined) return undefined;
  const interval = parseDuration(given);
  if (interval !== undefined && interval >= LEAST_MS) return interval;
  throw new SapwoodError("usage", `--watch: expected an interval of ${LEAST_MS}ms or more, found "${given}".`);
}

/**
 * Never resolves. Throws what the first answer or the terminal throws. A proxy that does not answer later, because it
 * is restarted for example, is told in the place of the answer, and asked again.
 */
export async function watch(
  intervalMs: number,
  page: () => Promise<Iterable<string>>,
  show: (page: Iterable<string>) => Promise<void>,
): Promise<never> {
  for (let shown = await page(); ; shown = await page().catch(failurePage)) {
    await show(shown);
    await setTimeout(intervalMs);
  }
}

function failurePage(error: unknown): Iterable<string> {
  if (error instanceof SapwoodError && error.code === "not-running") return [`${error.message}\n`];
  throw error;
}
