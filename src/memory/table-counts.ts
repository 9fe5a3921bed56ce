// How much of each capacity the tables use.

import type { Service } from "../model/tables.ts";
import type { Capacities } from "./shared-memory.ts";

export type TableCounts = Pick<Capacities, "addresses" | "instances" | "workloads" | "nodes">;

/** Adds what a service uses, or takes it away; nothing for undefined. */
export function countService(
  counts: Omit<TableCounts, "nodes">,
  service: Service | undefined,
  sign: 1 | -1,
  nodeId: string,
): void {
  if (service === undefined) return;
  const writable = counts as { addresses: number; instances: number; workloads: number };
  writable.instances += sign * service.instances.length;
  writable.addresses += sign * service.addresses.length;
  for (const instance of service.instances) {
    writable.addresses += sign * instance.instanceAddresses.length;
    if (instance.node === nodeId) writable.workloads += sign * instance.namespaceAddresses.length;
  }
}
