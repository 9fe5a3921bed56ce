// What the table writer is told: the nodes and services that differ from what is in force, each as a whole.

import type { Acceptance, Endpoint, Service } from "../model/tables.ts";

export interface TableNode {
  readonly id: string;
  readonly underlay: Endpoint;
  /** Where its datagrams come from; its own address and port unless given. */
  readonly senders?: readonly Endpoint[] | undefined; // port AddressLayout.ANY_PORT = any
  /** What its packets may be like, beyond where they come from; nothing unless given. */
  readonly accept?: Pick<Acceptance, "anyAddress" | "unknownSources"> | undefined;
  /** Great-circle distance from this node; NaN when a location is missing. */
  readonly distanceKm: number;
}

/** One generation's difference. What is set replaces what has the same id or name. */
export interface TableChange {
  readonly setNodes?: readonly TableNode[];
  readonly removeNodes?: readonly string[]; // ids
  readonly setServices?: readonly Service[];
  readonly removeServices?: readonly string[]; // names
}

/** Where the tunnel to a node ends: one that comes with that of another one which goes is the same node. */
export function tunnelOf({ underlay: { address, port } }: TableNode): string {
  return `${address} ${port}`;
}
