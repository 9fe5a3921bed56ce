// How many packets the flows to each instance had between two looks. Flows count their packets in any case, so nothing
// is paid for it but the look.

import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { flowRecordEnd, forEachRecord, instanceAt, PacketGrowth } from "./flows.ts";
import type { SharedMemory } from "./shared-memory.ts";

/** Of one instance, by the index of its record. */
export interface InstanceTraffic {
  flows: number;
  forwardPackets: number; // since the look before
  reversePackets: number;
}

export class FlowTraffic {
  readonly #shared: SharedMemory;
  readonly #forward = new PacketGrowth();
  readonly #reverse = new PacketGrowth();

  constructor(shared: SharedMemory) {
    this.#shared = shared;
  }

  /**
   * Of flows that began since, all packets; of those that ended since, none. A record that another flow has got since
   * may count too few.
   */
  look(): Map<number, InstanceTraffic> {
    const shared = this.#shared;
    const end = flowRecordEnd(shared);
    const found = new Map<number, InstanceTraffic>();
    this.#forward.begin(end);
    this.#reverse.begin(end);
    forEachRecord(
      shared,
      (at, record) => {
        const forward = this.#forward.grown(record, shared.u32[(at + FlowLayout.FORWARD_PACKETS) >>> 2] ?? 0);
        const reverse = this.#reverse.grown(record, shared.u32[(at + FlowLayout.REVERSE_PACKETS) >>> 2] ?? 0);
        const instance = instanceAt(shared, at);
        if (instance === undefined) return;
        const sum = found.get(instance) ?? { flows: 0, forwardPackets: 0, reversePackets: 0 };
        sum.flows += 1;
        sum.forwardPackets += forward;
        sum.reversePackets += reverse;
        found.set(instance, sum);
      },
      1,
      end,
    );
    return found;
  }
}
