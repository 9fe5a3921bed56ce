// One engine whose memory is filled with a pattern before each call, wherever there is no state and no packet in hand:
// the slots around the packets, the generated headers, the blocks in which packets wait. What comes out must not depend
// on it.

import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WaitingLayout from "../../assembly/shared/layout/waiting.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import type { EngineExports } from "../../src/dataplane/modules/engine-contract.ts";
import { instantiateEngine } from "../../src/dataplane/modules/wasm.ts";
import { writeOwnAddresses } from "../../src/memory/own-addresses.ts";
import { refuseAddress } from "../../src/memory/questions.ts";
import { createSharedMemory, type MemoryOptions, type SharedMemory } from "../../src/memory/shared-memory.ts";
import { TableWriter } from "../../src/memory/table-writer.ts";
import type { Tables } from "../../src/model/tables.ts";
import { parsePrefix } from "../../src/net/address.ts";
import { OWN_ADDRESSES } from "./engine-fixture.ts";
import { type Endpoint, EngineMemory, type ErrorAbout, originOf } from "./engine-memory.ts";
import type { Message } from "./reference/translator.ts";
import { difference } from "./table-difference.ts";

/** How far behind a packet its slot is filled anew before each call; the rest of it, before the first one. */
const BEHIND = 4096;

export interface CanaryOptions {
  readonly module: WebAssembly.Module;
  readonly nodeId: string;
  readonly ranges: readonly string[];
  readonly memory: Omit<MemoryOptions, "ranges">;
}

/** What one call of the engine let go. */
export interface Output {
  /** Where it goes; "tun" or an endpoint. */
  readonly to: string;
  readonly bytes: Uint8Array;
}

export class CanaryEngine {
  readonly shared: SharedMemory;
  readonly tables: TableWriter;
  readonly io: EngineMemory;
  private readonly engine: EngineExports;
  private readonly workerAt: number;
  private readonly u32: Uint32Array;
  /** Bytes of each slot that the last packet in it may have left there. */
  private readonly used = new Map<number, number>();
  private readonly wasTaken = new Uint8Array(WaitingLayout.HOLD_BLOCK_COUNT);
  private readonly counters: Uint8Array;
  private inForce: Tables = { nodes: [], services: [] };
  private pattern = 0;

  /** `like` is another one of the same options, whose secrets this one is to have. */
  constructor({ module, nodeId, ranges, memory }: CanaryOptions, like?: CanaryEngine) {
    this.shared = createSharedMemory({ ...memory, ranges: ranges.map(parsePrefix) });
    writeOwnAddresses(this.shared, OWN_ADDRESSES);
    if (like !== undefined) this.shared.bytes.set(like.header, HeaderLayout.AT);
    this.tables = new TableWriter(this.shared, { nodeId, policySlot: () => 0 });
    this.workerAt = this.shared.at(Region.workers);
    this.io = new EngineMemory(this.shared.memory, this.workerAt);
    this.u32 = this.shared.u32;
    // Mostly an answer, sometimes none.
    this.engine = instantiateEngine(module, this.shared.memory, (_serviceAt, flowHash) => (flowHash >>> 0) % 5);
    this.engine.attach(0, 0n);
    const counters = 8 * (WorkerLayout.COUNTER_MAX + 2 * WorkerLayout.DROP_REASON_MAX);
    this.counters = this.shared.bytes.subarray(this.workerAt + WorkerLayout.COUNTERS).subarray(0, counters);
  }

  private get header(): Uint8Array {
    return this.shared.bytes.subarray(HeaderLayout.AT, HeaderLayout.AT + HeaderLayout.SIZE);
  }

  /** Fills everything with a pattern, 32 bits of it, which also those use that come between two calls of this. */
  fill(pattern: number): void {
    this.pattern = pattern;
    this.fillRange(this.workerAt + WorkerLayout.TX_HEADERS, WorkerLayout.TX_HEADERS_SIZE);
    for (let block = 0; block < WaitingLayout.HOLD_BLOCK_COUNT; block++) {
      const isTaken =
        this.shared.bytes[
          this.workerAt + WorkerLayout.HELD + block * WaitingLayout.HELD_SIZE + WaitingLayout.HELD_STATE
        ] !== WaitingLayout.HOLD_FREE;
      if (!isTaken && this.wasTaken[block] !== 0) {
        this.fillRange(
          this.workerAt + WorkerLayout.HOLD_BLOCKS + block * WaitingLayout.HOLD_BLOCK_SIZE,
          WaitingLayout.HOLD_BLOCK_SIZE,
        );
      }
      this.wasTaken[block] = Number(isTaken);
    }
  }

  /** The same before the first call, when nothing was used yet. */
  fillAll(pattern: number): void {
    this.wasTaken.fill(1);
    this.fill(pattern);
    for (const slots of [WorkerLayout.TUN_SLOTS, WorkerLayout.UDP_SLOTS])
      this.fillRange(this.workerAt + slots, 64 * WorkerLayout.SLOT_SIZE);
  }

  putFrame(slot: number, frame: Uint8Array): void {
    this.fillSlot(this.workerAt + WorkerLayout.TUN_SLOTS + slot * WorkerLayout.SLOT_SIZE, frame.length);
    this.io.putFrame(slot, frame);
  }

  putMessage(slot: number, message: Message): void {
    this.fillSlot(this.workerAt + WorkerLayout.UDP_SLOTS + slot * WorkerLayout.SLOT_SIZE, message.bytes.length);
    this.io.putMessage(slot, message);
  }

  egress(first: number, end: number, nowUs: number): number {
    return this.engine.egress(first, end, nowUs);
  }

  ingress(first: number, end: number, nowUs: number): number {
    return this.engine.ingress(first, end, nowUs);
  }

  probe(nowUs: number): void {
    this.engine.probe(nowUs);
  }

  unpark(nowUs: number): number {
    return this.engine.unpark(nowUs);
  }

  sweep(nowUs: number): void {
    this.engine.sweep(nowUs, this.shared.capacities.flows + FlowLayout.SLACK);
  }

  pathError(errno: number, to: Endpoint, about: ErrorAbout): void {
    const quoted = this.io.putError(to, about.quote);
    this.engine.pathError(errno, originOf(about), about.mtu ?? 0, quoted);
  }

  refuse(address: string, nowMs: number): void {
    refuseAddress(this.shared, address, nowMs);
  }

  async apply(tables: Tables): Promise<void> {
    await this.tables.apply(difference(this.inForce, tables));
    await this.tables.settled();
    this.inForce = tables;
  }

  /** What the last call let go. */
  output(): Output[] {
    const datagrams = this.io
      .sentMessages()
      .flatMap(({ endpoint, datagrams }) => datagrams.map((bytes) => ({ to: endpoint, bytes })));
    return [...datagrams, ...this.io.tunWrites().map(({ bytes }) => ({ to: "tun", bytes }))];
  }

  /** All counters, as they are in memory. */
  counts(): Uint8Array {
    return this.counters;
  }

  private fillSlot(slotAt: number, length: number): void {
    const before = this.used.get(slotAt) ?? 0;
    this.used.set(slotAt, length);
    this.fillRange(
      slotAt,
      Math.min(WorkerLayout.SLOT_SIZE, WorkerLayout.SLOT_HEADROOM + Math.max(before, length) + BEHIND),
    );
  }

  private fillRange(at: number, length: number): void {
    this.u32.fill(this.pattern, at >>> 2, (at + length) >>> 2);
  }
}
