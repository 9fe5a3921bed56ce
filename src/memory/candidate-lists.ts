// The candidate lists of services. A service keeps the list in force as long as the next one would say the same.

import * as CandidateLayout from "../../assembly/shared/layout/candidate.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import type { Service } from "../model/tables.ts";
import { type CandidateRange, CandidateRanges } from "./candidate-ranges.ts";
import { capacityExceeded, type SharedMemory } from "./shared-memory.ts";
import type { Candidate, CandidateList, Plan } from "./table-plan.ts";

const NO_LIST: CandidateList = { range: undefined, count: 0 };

/** A service whose list is planned. */
interface ListedService {
  readonly service: Service;
  readonly instances: readonly number[]; // their records, in the service's order
  readonly isChanged: boolean; // one of the instances is not as it was
  readonly former: CandidateList | undefined;
}

export class CandidateLists {
  readonly #shared: SharedMemory;
  readonly #nodeId: string;
  readonly #instanceCount: () => number;
  readonly #ranges: CandidateRanges;
  readonly #view: DataView;

  /** `instanceCount` tells how many instances the tables have. */
  constructor(shared: SharedMemory, nodeId: string, instanceCount: () => number) {
    this.#shared = shared;
    this.#nodeId = nodeId;
    this.#instanceCount = instanceCount;
    this.#ranges = new CandidateRanges(shared.records.candidates);
    this.#view = new DataView(shared.memory.buffer, shared.at(Region.candidates));
  }

  /** A list of its own also says that something changed about an instance in it: policies see that by the revision. */
  plan(plan: Plan, { service, instances, isChanged, former }: ListedService): CandidateList {
    const candidates = service.addresses.length === 0 ? [] : this.#candidatesOf(service, instances);
    const list = (isChanged ? undefined : this.#kept(former, candidates)) ?? this.#take(plan, candidates);
    if (former?.range !== undefined && former !== list) plan.deadLists.push(former.range);
    return list;
  }

  give(range: CandidateRange): void {
    this.#ranges.give(range);
  }

  /** An instance can be reached from both families as long as it has a namespace address at all. */
  #candidatesOf(service: Service, instances: readonly number[]): Candidate[] {
    const candidates: Candidate[] = [];
    service.instances.forEach(({ namespaceAddresses, weight, draining, node }, i) => {
      if (namespaceAddresses.length === 0) return;
      const isLocal = node === this.#nodeId;
      candidates.push({ instance: instances[i] ?? 0, weight, isDraining: draining, isLocal });
    });
    return candidates;
  }

  /** The list in force when it says the same. */
  #kept(list: CandidateList | undefined, candidates: readonly Candidate[]): CandidateList | undefined {
    if (list?.range === undefined || list.count !== candidates.length) return undefined;
    const view = this.#view;
    const { first } = list.range;
    const isSame = candidates.every((candidate, i) => {
      const at = (first + i) * CandidateLayout.SIZE;
      const flags = view.getUint16(at + CandidateLayout.FLAGS, true);
      return (
        view.getUint32(at, true) === candidate.instance &&
        view.getUint16(at + CandidateLayout.WEIGHT, true) === candidate.weight &&
        ((flags & CandidateLayout.DRAINING) !== 0) === candidate.isDraining &&
        ((flags & CandidateLayout.LOCAL) !== 0) === candidate.isLocal
      );
    });
    return isSame ? list : undefined;
  }

  #take(plan: Plan, candidates: readonly Candidate[]): CandidateList {
    if (candidates.length === 0) return NO_LIST;
    const range = this.#ranges.take(candidates.length);
    if (range === undefined) {
      throw capacityExceeded("instances", this.#shared.capacities, this.#instanceCount() + candidates.length);
    }
    plan.newLists.push({ range, candidates });
    return { range, count: candidates.length };
  }
}
