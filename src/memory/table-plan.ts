// What one generation of the tables changes: the records, lists and slots that it writes, and those that it leaves
// dead.

import type { ServiceKind } from "../../assembly/shared/layout/service.ts";
import type { Endpoint, Instance, Service } from "../model/tables.ts";
import type { Family } from "../net/address.ts";
import type { Binding } from "./address-slots.ts";
import type { CandidateRange } from "./candidate-ranges.ts";
import type { TableNode } from "./table-change.ts";
import type { ServiceUse, TableCounts } from "./table-counts.ts";

interface PlacedNode {
  readonly index: number;
  readonly node: TableNode;
  readonly isNew: boolean;
}

export interface PlacedInstance {
  readonly index: number;
  readonly node: number; // index of the node record
  readonly instance: Instance;
}

export interface Candidate {
  readonly instance: number; // index of the instance record
  readonly weight: number;
  readonly isDraining: boolean;
  readonly isLocal: boolean;
}

export interface CandidateList {
  readonly range: CandidateRange | undefined; // undefined = no candidates
  readonly count: number;
}

export interface ServiceRecord {
  readonly record: number;
  readonly kind: ServiceKind;
  readonly policy: number;
  readonly id: number;
  readonly revision: number;
  readonly candidateCount: number;
  readonly first: number;
  readonly family: Family | 0; // of a balanced address
}

export interface PlacedAddress {
  readonly record: number;
  readonly id: number;
  readonly revision: number;
  readonly policy: number;
  readonly list: CandidateList;
}

/** What the tables have of a service; the arrays have the order of the service's own. */
export interface PlacedService {
  readonly service: Service;
  readonly instances: readonly number[]; // instance records
  readonly instanceRecords: readonly number[]; // their service records; 0 = without instance addresses
  readonly addresses: readonly PlacedAddress[];
  readonly list: CandidateList; // of all its service addresses
  readonly use: ServiceUse;
}

/** One generation's work. "Dead" is what only older generations show. */
export class Plan {
  /** How much of each capacity the tables use afterwards. */
  readonly counts: TableCounts;
  readonly nodes: PlacedNode[] = [];
  readonly newInstances: PlacedInstance[] = [];
  readonly changedInstances: PlacedInstance[] = [];
  readonly newLists: { readonly range: CandidateRange; readonly candidates: readonly Candidate[] }[] = [];
  readonly newRecords: ServiceRecord[] = [];
  readonly newIds: { readonly id: number; readonly revision: number }[] = [];
  readonly unbindAddresses: string[] = [];
  readonly unbindWorkloads: string[] = [];
  readonly unbindSenders: Endpoint[] = [];
  readonly bindAddresses: Binding[] = [];
  readonly bindWorkloads: Binding[] = [];
  readonly bindSenders: Binding[] = [];
  readonly deadNodes: number[] = [];
  readonly deadInstances: number[] = [];
  readonly deadLists: CandidateRange[] = [];
  readonly deadRecords: number[] = [];
  readonly deadIds: { readonly id: number; readonly revision: number }[] = [];
  /** The services and nodes that change; undefined = removed. */
  readonly services = new Map<string, PlacedService | undefined>();
  readonly nodeIndices = new Map<string, number | undefined>();
  readonly senders = new Map<string, readonly Endpoint[] | undefined>();
  readonly tunnels = new Map<string, string | undefined>();

  constructor(counts: TableCounts) {
    this.counts = counts;
  }
}
