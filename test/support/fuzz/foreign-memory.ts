// What an engine must not write: the tables, which are the control plane's, the area of another worker, the room between
// and behind the packets of its own. A copy of it says whether it was written.

import * as AddressLayout from "../../../assembly/shared/layout/address.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../../assembly/shared/layout/instance.ts";
import * as NodeLayout from "../../../assembly/shared/layout/node.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import type { SharedMemory } from "../../../src/memory/shared-memory.ts";

interface Part {
  readonly name: string;
  readonly now: Uint8Array;
  readonly before: Uint8Array;
}

const CANARY = 0xa5;

export class ForeignMemory {
  /** Those that the control plane writes, and those that nobody writes. */
  private readonly tables: Part[] = [];
  private readonly others: Part[] = [];

  /** To be made after attach(). */
  constructor(shared: SharedMemory) {
    const part = (name: string, at: number, size: number): Part => {
      const now = shared.bytes.subarray(at, at + size);
      return { name, now, before: now.slice() };
    };
    const add = (name: string, at: number, size: number): void => {
      this.others.push(part(name, at, size));
    };
    const region = (name: Exclude<keyof typeof Region, "count">, size: number): void => {
      this.tables.push(part(`the region ${name}`, shared.at(Region[name]), size));
    };
    const { records } = shared;
    region("nodes", records.nodes * NodeLayout.SIZE);
    region("instances", records.instances * InstanceLayout.SIZE);
    region("addresses", records.addressSlots * AddressLayout.SLOT_SIZE);
    region("workloads", records.workloadSlots * AddressLayout.SLOT_SIZE);
    region("senders", records.senderSlots * AddressLayout.SLOT_SIZE);
    region("ownAddresses", AddressLayout.OWN_MAX * AddressLayout.OWN_SIZE);
    add("page zero", 0, HeaderLayout.AT);
    const { REGIONS, PROBE_KEY, PROBE_NONCES, FLOW_HASH_KEY, REFUSALS } = HeaderLayout;
    add("the table of regions", HeaderLayout.AT + REGIONS, PROBE_KEY - REGIONS);
    add("the probes' key", HeaderLayout.AT + PROBE_KEY, PROBE_NONCES - PROBE_KEY);
    add("keys and ranges", HeaderLayout.AT + FLOW_HASH_KEY, REFUSALS - FLOW_HASH_KEY);
    const own = shared.at(Region.workers);
    const other = own + WorkerLayout.SIZE;
    add("the other worker's area", other, WorkerLayout.SIZE);
    add("the padding", own + WorkerLayout.PADDING, WorkerLayout.PADDING_SIZE);
    for (const slots of [WorkerLayout.TUN_SLOTS, WorkerLayout.UDP_SLOTS]) {
      for (let slot = 0; slot < WorkerLayout.BATCH_SIZE; slot++) {
        const at = own + slots + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM + WorkerLayout.FRAME_MAX;
        const size = WorkerLayout.SLOT_SIZE - WorkerLayout.SLOT_HEADROOM - WorkerLayout.FRAME_MAX;
        shared.bytes.fill(CANARY, at, at + size);
        add(`the end of slot ${slot}`, at, size);
      }
    }
  }

  /** The tables that are there now are right. */
  remember(): void {
    for (const { now, before } of this.tables) before.set(now);
  }

  /** The control plane writes something into the tables. */
  change(write: () => void): void {
    compareAll(this.tables);
    write();
    this.remember();
  }

  /** Throws a sentence when something was written. */
  compare(): void {
    compareAll(this.tables);
    compareAll(this.others);
  }
}

function compareAll(parts: readonly Part[]): void {
  for (const { name, now, before } of parts) {
    if (Buffer.compare(now, before) === 0) continue;
    const at = now.findIndex((byte, i) => byte !== before[i]);
    throw new Error(`the engine wrote into ${name}, at ${at}`);
  }
}
