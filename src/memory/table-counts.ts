// How much of each capacity the tables use.

import { AddressCursor, PackedService } from "../model/packed-service.ts";
import type { Service } from "../model/tables.ts";
import type { Capacities } from "./shared-memory.ts";

export type TableCounts = Pick<Capacities, "addresses" | "instances" | "workloads" | "nodes">;

/** What one service uses. */
export type ServiceUse = Omit<TableCounts, "nodes">;

/** Tells what services use. */
export class UseCounter {
  readonly #cursor: AddressCursor;

  /** Of the own node, whose instances are workloads. */
  constructor(nodeId: string) {
    this.#cursor = new AddressCursor(nodeId);
  }

  of(service: Service): ServiceUse {
    const cursor = this.#cursor;
    let [addresses, workloads] = [0, 0];
    cursor.start(PackedService.of(service));
    while (cursor.next()) {
      if (cursor.placed !== "namespace") addresses += 1;
      else if (cursor.isLocal) workloads += 1;
    }
    return { addresses, workloads, instances: cursor.instances };
  }
}

/** Adds what a service uses, or takes it away; nothing for undefined. */
export function countUse(counts: TableCounts, use: ServiceUse | undefined, sign: 1 | -1): void {
  if (use === undefined) return;
  const writable = counts as { addresses: number; instances: number; workloads: number };
  writable.addresses += sign * use.addresses;
  writable.instances += sign * use.instances;
  writable.workloads += sign * use.workloads;
}
