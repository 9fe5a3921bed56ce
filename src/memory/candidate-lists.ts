// The candidate lists of services. A service keeps the list in force as long as the next one would say the same.

import * as CandidateLayout from "../../assembly/shared/layout/candidate.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import { type CandidateRange, CandidateRanges } from "./candidate-ranges.ts";
import { capacityExceeded, type SharedMemory } from "./shared-memory.ts";
import { Candidate, type CandidateList, type Plan } from "./table-plan.ts";

const NO_LIST: CandidateList = { range: undefined, count: 0 };

/** A service whose list is planned. */
interface ListedService {
  /** The first of its candidates in the plan, which are the last ones there. */
  readonly from: number;
  readonly isChanged: boolean; // one of the instances is not as it was
  readonly former: CandidateList | undefined;
}

export class CandidateLists {
  readonly #shared: SharedMemory;
  readonly #instanceCount: () => number;
  readonly #ranges: CandidateRanges;
  readonly #view: DataView;

  /** `instanceCount` tells how many instances the tables have. */
  constructor(shared: SharedMemory, instanceCount: () => number) {
    this.#shared = shared;
    this.#instanceCount = instanceCount;
    this.#ranges = new CandidateRanges(shared.records.candidates);
    this.#view = new DataView(shared.memory.buffer, shared.at(Region.candidates));
  }

  /** A list of its own also says that something changed about an instance in it: policies see that by the revision. */
  plan(plan: Plan, { from, isChanged, former }: ListedService): CandidateList {
    const list = (isChanged ? undefined : this.#kept(plan, from, former)) ?? this.#take(plan, from);
    if (former?.range !== undefined && former !== list) plan.deadLists.push(former.range);
    return list;
  }

  give(range: CandidateRange): void {
    this.#ranges.give(range);
  }

  /** The list in force when it says the same; then the candidates are taken out of the plan. */
  #kept({ candidates }: Plan, from: number, list: CandidateList | undefined): CandidateList | undefined {
    if (list?.range === undefined || list.count !== candidates.length - from) return undefined;
    for (let i = 0; i < list.count; i++) {
      const at = (list.range.first + i) * CandidateLayout.SIZE;
      const isSame =
        this.#view.getUint32(at, true) === candidates.at(from + i, Candidate.instance) &&
        this.#view.getUint16(at + CandidateLayout.WEIGHT, true) === candidates.at(from + i, Candidate.weight) &&
        this.#view.getUint16(at + CandidateLayout.FLAGS, true) === candidates.at(from + i, Candidate.flags);
      if (!isSame) return undefined;
    }
    candidates.length = from;
    return list;
  }

  #take({ candidates, newLists }: Plan, from: number): CandidateList {
    const count = candidates.length - from;
    if (count === 0) return NO_LIST;
    const range = this.#ranges.take(count);
    if (range === undefined) {
      throw capacityExceeded("instances", this.#shared.capacities, this.#instanceCount() + count);
    }
    newLists.push({ range, from, count });
    return { range, count };
  }
}
