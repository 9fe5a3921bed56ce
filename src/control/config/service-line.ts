// A packed service as a line of text, on its way from the process that read it.

import { PackedService } from "../../model/packed-service.ts";
import type { Service } from "../../model/tables.ts";

/** A line without a service: those before it do not count. */
export const RESTART = Buffer.from("-\n");

const TAB = "\t"; // JSON has none outside of its white space, and none is written

export function lineOf(service: Service): string {
  const { name, health, text } = PackedService.of(service);
  return `${JSON.stringify(name)}${TAB}${health === undefined ? "" : JSON.stringify(health)}${TAB}${text}\n`;
}

/** What lineOf() wrote, without the end of the line. */
export function serviceOf(line: string): PackedService {
  const healthAt = line.indexOf(TAB) + 1;
  const textAt = line.indexOf(TAB, healthAt) + 1;
  const health = line.slice(healthAt, textAt - 1);
  return new PackedService(
    JSON.parse(line.slice(0, healthAt - 1)),
    health === "" ? undefined : JSON.parse(health),
    line.slice(textAt),
  );
}
