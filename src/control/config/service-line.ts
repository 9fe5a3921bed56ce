// A packed service as a line of text, on its way from the process that read it.

import { PackedService } from "../../model/packed-service.ts";
import type { Service } from "../../model/tables.ts";

/** A line without a service: those before it do not count. */
export const RESTART = Buffer.from("-\n");

const TAB = "\t"; // JSON has none outside of its white space, and none is written

/** In the place of a service: one that is in force, by its place among those. */
const KEPT = "=";

export function keptLine(index: number): string {
  return `${KEPT}${index}\n`;
}

/** Undefined when the line is no such one. */
export function keptIndex(line: string): number | undefined {
  return line.startsWith(KEPT) ? Number(line.slice(KEPT.length)) : undefined;
}

/** Before the origin of a service, at the end of its line. */
export const ORIGIN_MARK = TAB;

export function lineOf(service: Service): string {
  const { name, health, text } = PackedService.of(service);
  return `${JSON.stringify(name)}${TAB}${health === undefined ? "" : JSON.stringify(health)}${TAB}${text}\n`;
}

/** What lineOf() wrote, without the end of the line. */
export function serviceOf(line: string): PackedService {
  const healthAt = line.indexOf(TAB) + 1;
  const textAt = line.indexOf(TAB, healthAt) + 1;
  const health = line.slice(healthAt, textAt - 1);
  const originAt = line.indexOf(ORIGIN_MARK, textAt) + 1;
  return new PackedService(
    JSON.parse(line.slice(0, healthAt - 1)),
    health === "" ? undefined : JSON.parse(health),
    originAt === 0 ? line.slice(textAt) : line.slice(textAt, originAt - 1),
    originAt === 0 ? undefined : line.slice(originAt),
  );
}
