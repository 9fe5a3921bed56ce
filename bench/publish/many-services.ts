// Very many services beside those of the topology, as texts that `sapwood run` and `sapwood apply` read.

import { parse } from "yaml";
import { nodeConfig, tablesOf } from "../../src/lab/node-config.ts";
import { CLIENT_NODE, SERVER_NODE, TOPOLOGY } from "../path/scenario.ts";

/** Room for those of the topology, and for what comes beside them. */
const SPARE = 1024;

interface Size {
  readonly services: number;
  readonly instances: number;
}

/** The client node's whole configuration, as JSON. */
export function manyServicesConfig(size: Size, firstWeight: number): string {
  const config = parse(nodeConfig(TOPOLOGY, CLIENT_NODE.id, tablesOf(TOPOLOGY)));
  const services = [...config.services, ...writtenServices(size, size.services, firstWeight)];
  const tables = { addresses: size.services + size.instances + SPARE, instances: size.instances + SPARE };
  return JSON.stringify({ ...config, tables, services });
}

/** A patch of the first `changes` services: another weight for each one's first instance. */
export function weightPatch(size: Size, changes: number, firstWeight: number): string {
  return JSON.stringify({ services: writtenServices(size, changes, firstWeight) });
}

function writtenServices({ services, instances }: Size, count: number, firstWeight: number) {
  const each = Math.floor(instances / services);
  return Array.from({ length: count }, (_, i) => ({
    name: `service-${i}`,
    addresses: [{ address: addressOf("fdff:2000", i), policy: "round-robin" }],
    instances: Array.from({ length: each }, (_, k) => ({
      number: k + 1,
      node: SERVER_NODE.id,
      namespace: [addressOf("fc00:1", i * each + k)],
      addresses: [addressOf("fdff:1", i * each + k)],
      weight: k === 0 ? firstWeight : 1,
    })),
  }));
}

/** An address that no service of the topology has; the last group is never 0, so that "::" is where it belongs. */
function addressOf(prefix: string, index: number): string {
  return `${prefix}::1:${Math.floor(index / 65_535).toString(16)}:${((index % 65_535) + 1).toString(16)}`;
}
