// How much of each capacity the tables use.

import { type PackedService, PackedText, ServiceCursor } from "../model/packed-service.ts";
import type { Capacities } from "./shared-memory.ts";

export type TableCounts = Pick<Capacities, "addresses" | "instances" | "workloads" | "nodes">;

/** What one service uses. */
export type ServiceUse = Omit<TableCounts, "nodes">;

/** Tells what services use. */
export class UseCounter {
  readonly #cursor = new ServiceCursor();
  readonly #nodeId: PackedText;

  /** Of the own node, whose instances are workloads. */
  constructor(nodeId: string) {
    this.#nodeId = new PackedText(nodeId);
  }

  of(service: PackedService): ServiceUse {
    const cursor = this.#cursor;
    cursor.start(service);
    let [addresses, workloads] = [cursor.addresses, 0];
    while (cursor.nextInstance()) {
      addresses += cursor.own;
      if (this.#nodeId.isAt(cursor.bytes, cursor.nodeAt, cursor.nodeEnd)) workloads += cursor.namespaces;
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
