// Port mappings as an SLA writes them: "host[:container][/tcp|/udp]", joined by ";" or ",", e.g. "8080:80;53:53/udp".

import { SapwoodError } from "../../../base/errors.ts";

export interface PortMapping {
  readonly protocol: "tcp" | "udp";
  readonly host: number;
  readonly container: number;
}

const ITEM = /^\+?(\d{1,5})(?::\+?(\d{1,5}))?$/;
const PORT_MAX = 65_535;

/** Blanks around an item and a separator at the end are no item. Throws network-setup, which names the wrong one. */
export function parsePortMappings(text: string): PortMapping[] {
  if (text.trim() === "") return [];
  const items = text.split(/[;,]/).map((item) => item.trim());
  if (items.at(-1) === "") items.pop();
  const mappings = items.map(parseItem);
  const seen = new Set<string>();
  for (const { protocol, host } of mappings) {
    const key = `${host}/${protocol}`;
    if (seen.has(key)) throw refusal(`expected each port of the host once, found ${key} twice`);
    seen.add(key);
  }
  return mappings;
}

function parseItem(item: string): PortMapping {
  // As the platform has it: the protocol may stand behind either port.
  const protocol = item.includes("/udp") ? "udp" : "tcp";
  const [, host, container = host] = ITEM.exec(item.replace(`/${protocol}`, "")) ?? [];
  const mapping = { protocol, host: Number(host), container: Number(container) } as const;
  if ([mapping.host, mapping.container].every((port) => port >= 1 && port <= PORT_MAX)) return mapping;
  throw refusal(
    `expected host[:container][/tcp|/udp] with ports from 1 to ${PORT_MAX}, found ${JSON.stringify(item.slice(0, 60))}`,
  );
}

function refusal(sentence: string): SapwoodError {
  return new SapwoodError("network-setup", `portMappings: ${sentence}`);
}
