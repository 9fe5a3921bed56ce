// How many packets the flows to each instance had between two looks. Flows count their packets in any case, so nothing
// is paid for it but the look.

import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import { flowRecordEnd, isIncarnation } from "./flows.ts";
import type { SharedMemory } from "./shared-memory.ts";

/** Of one instance, by the index of its record. */
export interface InstanceTraffic {
  flows: number;
  forwardPackets: number; // since the look before
  reversePackets: number;
}

export class FlowTraffic {
  readonly #shared: SharedMemory;
  readonly #forward: Uint32Array; // by flow record, as the last look found it
  readonly #reverse: Uint32Array;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
    const records = 1 + shared.capacities.flows + FlowLayout.SLACK;
    this.#forward = new Uint32Array(records);
    this.#reverse = new Uint32Array(records);
  }

  /**
   * Of flows that began since, all packets; of those that ended since, none. A record that another flow has got since
   * may count too few.
   */
  look(): Map<number, InstanceTraffic> {
    const { bytes, u32 } = this.#shared;
    const flowsAt = this.#shared.at(Region.flows);
    const recordEnd = flowRecordEnd(this.#shared);
    const found = new Map<number, InstanceTraffic>();
    for (let record = 1; record < recordEnd; record++) {
      const at = flowsAt + record * FlowLayout.SIZE;
      const word = (offset: number): number => u32[(at + offset) >>> 2] ?? 0;
      if (bytes[at + FlowLayout.STATE] === FlowState.free) {
        this.#forward[record] = 0;
        this.#reverse[record] = 0;
        continue;
      }
      const forward = grown(this.#forward, record, word(FlowLayout.FORWARD_PACKETS));
      const reverse = grown(this.#reverse, record, word(FlowLayout.REVERSE_PACKETS));
      const instance = word(FlowLayout.INSTANCE);
      if (!isIncarnation(this.#shared, instance, word(FlowLayout.INSTANCE_INCARNATION))) continue;
      const sum = found.get(instance) ?? { flows: 0, forwardPackets: 0, reversePackets: 0 };
      sum.flows += 1;
      sum.forwardPackets += forward;
      sum.reversePackets += reverse;
      found.set(instance, sum);
    }
    return found;
  }
}

/** By how much a count grew; one that is lower than before is another flow's, or began again at 0. */
function grown(counts: Uint32Array, record: number, now: number): number {
  const before = counts[record] ?? 0;
  counts[record] = now;
  return now >= before ? now - before : now;
}
