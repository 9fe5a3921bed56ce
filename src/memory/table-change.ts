// What the table writer is told: the nodes and services that differ from what is in force, each as a whole.

import type { Endpoint, Service } from "../control/model.ts";

export interface TableNode {
  readonly id: string;
  readonly underlay: Endpoint;
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
