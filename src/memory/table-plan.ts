// What one generation of the tables changes: the records, lists and slots that it writes, and those that it leaves
// dead.

import type { PackedService } from "../model/packed-service.ts";
import type { Endpoint } from "../model/tables.ts";
import { AddressRows } from "./address-rows.ts";
import type { CandidateRange } from "./candidate-ranges.ts";
import { Rows } from "./rows.ts";
import type { TableNode } from "./table-change.ts";
import type { ServiceUse, TableCounts } from "./table-counts.ts";

interface PlacedNode {
  readonly index: number;
  readonly node: TableNode;
  readonly isNew: boolean;
}

/** Columns of an instance that is written. */
export const PlacedInstance = {
  index: 0, // of its record
  node: 1, // index of the node record
  text: 2, // which of the plan's texts it is in
  at: 3, // and where
} as const;

/** Columns of a candidate. */
export const Candidate = { instance: 0, weight: 1, flags: 2 } as const;

/** Columns of the service record of a service address. */
export const BalancedRecord = { record: 0, policy: 1, id: 2, revision: 3, candidates: 4, first: 5, family: 6 } as const;

/** Columns of the service record of an instance's addresses. */
export const InstanceRecord = { record: 0, instance: 1 } as const;

/** A list of candidates that is written: those of the plan from one on. */
interface NewList {
  readonly range: CandidateRange;
  readonly from: number;
  readonly count: number;
}

export interface CandidateList {
  readonly range: CandidateRange | undefined; // undefined = no candidates
  readonly count: number;
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
  readonly service: PackedService;
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
  /** Bytes of the services that have something new. */
  readonly texts: string[] = [];
  readonly newInstances = new Rows(4);
  readonly changedInstances = new Rows(4);
  readonly candidates = new Rows(3);
  readonly newLists: NewList[] = [];
  readonly balancedRecords = new Rows(7);
  readonly instanceRecords = new Rows(2);
  readonly newIds: { readonly id: number; readonly revision: number }[] = [];
  readonly unbindAddresses = new AddressRows();
  readonly unbindWorkloads = new AddressRows();
  readonly unbindSenders = new AddressRows();
  readonly bindAddresses = new AddressRows();
  readonly bindWorkloads = new AddressRows();
  readonly bindSenders = new AddressRows();
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

  /** Makes room for all that services with these uses can have new. Pages of it that stay unused cost nothing. */
  reserve(uses: readonly ServiceUse[]): void {
    let [instances, addresses] = [0, 0];
    for (const use of uses) {
      instances += use.instances;
      addresses += use.addresses;
    }
    this.newInstances.reserve(instances);
    this.candidates.reserve(instances);
    this.instanceRecords.reserve(instances);
    this.bindAddresses.reserve(addresses);
  }

  /** Which of the texts the service is in, which is planned now. */
  textOf({ bytes }: PackedService): number {
    if (this.texts.at(-1) !== bytes) this.texts.push(bytes);
    return this.texts.length - 1;
  }

  /** An address of a service that is not of it any more. */
  dropAddress(placed: PlacedAddress | undefined): void {
    if (placed === undefined) return;
    this.deadRecords.push(placed.record);
    this.deadIds.push({ id: placed.id, revision: placed.revision + 1 });
  }
}
