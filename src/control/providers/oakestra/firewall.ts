// Address translation of the node, in a table of its own: what containers send to the outside gets the node's address,
// and mapped ports of the node lead to containers. Only the node's own addresses are mapped, never those of services.

import { nft } from "../../../sys/nft-command.ts";
import type { PortMapping } from "./port-mappings.ts";
import { type AddressPair, type Subnet, V4_LENGTH, V6_LENGTH } from "./subnet.ts";

export interface FirewallOptions {
  readonly subnet: Subnet;
  /** Interfaces between containers and services: what passes them keeps its addresses. */
  readonly devices: readonly string[];
}

export interface MappedPorts {
  readonly addresses: AddressPair;
  readonly mappings: readonly PortMapping[];
}

const TABLE = "inet sapwood_netmanager";
const MAPS = (["tcp", "udp"] as const).flatMap((protocol) =>
  ([4, 6] as const).map((family) => ({ protocol, family, name: `${protocol}${family}` })),
);

/** Makes the table anew, in one step: connections that are translated already stay so. */
export async function openFirewall({ subnet, devices }: FirewallOptions, ports: readonly MappedPorts[]): Promise<void> {
  const names = devices.map((device) => `"${device}"`).join(", ");
  const outside = `oifname != { ${names} } masquerade`;
  await nft([
    ...removal(),
    `table ${TABLE} {`,
    ...MAPS.map(({ name, family }) => `map ${name} { type inet_service : ipv${family}_addr . inet_service; }`),
    "chain ports {",
    ...MAPS.map(({ protocol, family, name }) => {
      return `dnat ${family === 4 ? "ip" : "ip6"} to ${protocol} dport map @${name}`;
    }),
    "}",
    "chain prerouting { type nat hook prerouting priority -100; fib daddr type local jump ports; }",
    "chain output { type nat hook output priority -100; fib daddr type local jump ports; }",
    "chain postrouting { type nat hook postrouting priority 100;",
    `ip saddr ${subnet.v4}/${V4_LENGTH} ${outside}`,
    `ip6 saddr ${subnet.v6}/${V6_LENGTH} ${outside}`,
    "}",
    "}",
    ...ports.flatMap((one) => elements(one).map((element) => `create element ${TABLE} ${element}`)),
  ]);
}

export async function closeFirewall(): Promise<void> {
  await nft(removal());
}

/** All of them or none; a port that another container has is refused. Throws network-setup. */
export async function mapPorts(ports: MappedPorts): Promise<void> {
  const lines = elements(ports).map((element) => `create element ${TABLE} ${element}`);
  if (lines.length > 0) await nft(lines);
}

export async function unmapPorts(ports: MappedPorts): Promise<void> {
  const lines = elements(ports).map((element) => `delete element ${TABLE} ${element}`);
  if (lines.length > 0) await nft(lines);
}

/** A table that does not exist cannot be deleted. */
function removal(): string[] {
  return [`add table ${TABLE}`, `delete table ${TABLE}`];
}

function elements({ addresses, mappings }: MappedPorts): string[] {
  return mappings.flatMap(({ protocol, host, container }) => [
    `${protocol}4 { ${host} : ${addresses.v4} . ${container} }`,
    `${protocol}6 { ${host} : ${addresses.v6} . ${container} }`,
  ]);
}
