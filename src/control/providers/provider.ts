// The interface between a node and the source of its services. A provider knows the model and this sink, and nothing
// else of the node; the composition root alone knows the provider.

import type { Alarms } from "../../model/alarms.ts";
import type { ProviderReport } from "../../model/reports.ts";
import type { TablesPatch } from "../../model/tables.ts";

/** An address that packets of this node's workloads wait for. */
export interface AskedAddress {
  readonly address: string; // canonical
  /** Of the oldest packet that waits. */
  readonly ageMs: number;
  /** A number for each workload that asks, not 0; the same for all its packets. */
  readonly askers: readonly number[];
  /** A connection that was there before depends on it, or an answer to somebody who called. */
  readonly isUrgent: boolean;
}

export interface ProviderSink {
  /** What instances of this node name as their node. */
  readonly nodeId: string;
  /** Makes the change in one generation, or throws and changes nothing. */
  merge(patch: TablesPatch): Promise<void>;
  /** What is asked for at this moment, the oldest first. */
  questions(): readonly AskedAddress[];
  /** There is no such address: its packets go, and for a second nobody is asked. */
  refuse(address: string): void;
  /** Names of the services to whose instances live flows of this node lead. Costs a look at each flow. */
  servicesInUse(): ReadonlySet<string>;
  /** Names of the policies that an address may have. */
  policies(): readonly string[];
  /** From now on the node's status has what the provider says of itself. */
  showStatus(read: () => ProviderReport): void;
  /** Whom faults of the provider's own things are told. */
  readonly alarms: Alarms;
}
