// What a worker leaves behind that ends in the middle of a call: a locked bucket, a flow of which one entry is gone, a
// record that nobody owns, counts that are off. Nothing of it is guessed: the states of the records say which flows
// live, and entries, free records and counts follow from them.
//   1. releaseLock() at once, since other workers wait for that lock inside their calls.
//   2. beginRepair(): workers that enter a call stand aside; those inside go on, until all are outside.
//   3. repairFlowTable() walks the whole table. 4. endRepair() lets the workers go on.

import { setTimeout as sleep } from "node:timers/promises";
import {
  FLOW_BUCKET_ENTRIES,
  FLOW_BUCKET_ENTRY_COUNT,
  FLOW_BUCKET_LOCK,
  FLOW_BUCKET_SIZE,
  FLOW_CLIENT_INCARNATION,
  FLOW_CLIENT_INSTANCE,
  FLOW_FREE_NEXT,
  FLOW_INDEX_MASK,
  FLOW_INSTANCE,
  FLOW_INSTANCE_INCARNATION,
  FLOW_IS_BALANCED,
  FLOW_SEEN,
  FLOW_SIZE,
  FLOW_SLACK,
  FLOW_STATE,
  FlowState,
  HEADER_AT,
  HEADER_CLIENT_COUNT,
  HEADER_FLOW_BUCKET_MASK,
  HEADER_FLOW_COUNT,
  HEADER_FLOW_FREE,
  HEADER_FLOW_LIMIT,
  HEADER_FLOW_NEXT,
  HEADER_REGIONS,
  HEADER_REPAIR,
  HEADER_WORKER_COUNT,
  INSTANCE_LOAD_CALLED,
  INSTANCE_LOAD_SERVED,
  INSTANCE_LOAD_SIZE,
  LOCK_WORKER_BITS,
  Region,
  WORKER_FRAGMENT_HEADS,
  WORKER_HOLD_BLOCKS,
  WORKER_INCARNATION,
  WORKER_LIMBO_OLD,
  WORKER_LIMBO_YOUNG,
  WORKER_LOCKING,
  WORKER_RELEASED_FIRST,
  WORKER_SEQUENCE,
  WORKER_SIZE,
  WORKER_TUN_TX_COUNT,
  WORKER_UDP_TX_COUNT,
  WORKER_WAITING_FRAGMENTS,
} from "../../assembly/shared/layout.ts";

const POLL_INTERVAL_MS = 1;
const BOTH_ENTRIES = 3;

/** What a walk found that was not as it must be. */
export interface FlowRepair {
  readonly flows: number; // that live
  readonly entries: number; // of the index that led to no flow
  readonly records: number; // that were on their way to be free, or lost
}

export class FlowTableRepair {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #signed: Int32Array; // for Atomics
  readonly #workerCount: number;

  constructor(memory: WebAssembly.Memory) {
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#signed = new Int32Array(memory.buffer);
    this.#workerCount = this.#header(HEADER_WORKER_COUNT);
  }

  /** The thread of a worker is gone: frees the lock that it held, if any. Locks of the next thread have another owner. */
  releaseLock(worker: number): void {
    const area = this.#workerAt(worker);
    const incarnation = this.#word(area + WORKER_INCARNATION);
    const owner = (incarnation << LOCK_WORKER_BITS) | (worker + 1);
    const bucket = this.#word(area + WORKER_LOCKING);
    const lock = (bucket + FLOW_BUCKET_LOCK) >>> 2;
    if (bucket !== 0 && Atomics.compareExchange(this.#signed, lock, owner, 0) === owner) {
      Atomics.notify(this.#signed, lock);
    }
    this.#words[(area + WORKER_INCARNATION) >>> 2] = incarnation + 1;
  }

  beginRepair(): void {
    Atomics.store(this.#signed, (HEADER_AT + HEADER_REPAIR) >>> 2, 1);
  }

  endRepair(): void {
    Atomics.store(this.#signed, (HEADER_AT + HEADER_REPAIR) >>> 2, 0);
    Atomics.notify(this.#signed, (HEADER_AT + HEADER_REPAIR) >>> 2);
  }

  /** Resolves when no worker is in a call. Between beginRepair() and endRepair() none enters one. */
  async allOutside(): Promise<void> {
    const isInside = (worker: number): boolean =>
      (Atomics.load(this.#signed, (this.#workerAt(worker) + WORKER_SEQUENCE) >>> 2) & 1) === 1;
    while (Array.from({ length: this.#workerCount }, (_, worker) => worker).some(isInside)) {
      await sleep(POLL_INTERVAL_MS);
    }
  }

  /** `died` are the workers that ended in a call: what was in their hands is lost. No worker may be in a call. */
  repair(died: Iterable<number>): FlowRepair {
    for (const worker of died) this.#clearArea(worker);
    const end = Math.min(this.#header(HEADER_FLOW_NEXT), this.#header(HEADER_FLOW_LIMIT) + FLOW_SLACK + 1);
    const found = this.#countEntries(end);
    for (let record = 1; record < end; record++) {
      // Both entries are put before a flow lives, and taken after it has ended.
      if (found[record] !== BOTH_ENTRIES) this.#bytes[this.#flowAt(record) + FLOW_STATE] = FlowState.free;
    }
    const entries = this.#clearEntries(end);
    const { flows, records } = this.#relinkFree(end);
    this.#recount(end);
    return { flows, entries, records };
  }

  /** Which of its two entries each record has. */
  #countEntries(end: number): Uint8Array {
    const found = new Uint8Array(end);
    this.#eachEntry((entry) => {
      const record = (entry >>> 1) & FLOW_INDEX_MASK;
      if (record < end) found[record] = (found[record] ?? 0) | (1 << (entry & 1));
      return true;
    });
    return found;
  }

  /** Returns how many led to no flow, or were there twice. */
  #clearEntries(end: number): number {
    const seen = new Uint8Array(end);
    let cleared = 0;
    this.#eachEntry((entry) => {
      const record = (entry >>> 1) & FLOW_INDEX_MASK;
      const direction = 1 << (entry & 1);
      const isLive = record < end && this.#bytes[this.#flowAt(record) + FLOW_STATE] !== FlowState.free;
      if (isLive && ((seen[record] ?? 0) & direction) === 0) {
        seen[record] = (seen[record] ?? 0) | direction;
        return true;
      }
      cleared += 1;
      return false;
    });
    return cleared;
  }

  /** Keeps the entries of which `keeps` says so. */
  #eachEntry(keeps: (entry: number) => boolean): void {
    const words = this.#words;
    const begin = this.#region(Region.flowBuckets);
    const end = begin + (this.#header(HEADER_FLOW_BUCKET_MASK) + 1) * FLOW_BUCKET_SIZE;
    for (let bucket = begin; bucket < end; bucket += FLOW_BUCKET_SIZE) {
      const first = (bucket + FLOW_BUCKET_ENTRIES) >>> 2;
      for (let at = first; at < first + FLOW_BUCKET_ENTRY_COUNT; at++) {
        const entry = words[at] as number;
        if (entry !== 0 && !keeps(entry)) words[at] = 0;
      }
    }
  }

  /** All records without a flow become one stack; nobody can still be reading one. */
  #relinkFree(end: number): { flows: number; records: number } {
    for (let worker = 0; worker < this.#workerCount; worker++) {
      this.#words[(this.#workerAt(worker) + WORKER_LIMBO_YOUNG) >>> 2] = 0;
      this.#words[(this.#workerAt(worker) + WORKER_LIMBO_OLD) >>> 2] = 0;
    }
    const before = this.#freeRecords(end);
    let first = 0;
    let records = 0;
    for (let record = end - 1; record > 0; record--) {
      const at = this.#flowAt(record);
      if (this.#bytes[at + FLOW_STATE] !== FlowState.free) continue;
      this.#words[(at + FLOW_FREE_NEXT) >>> 2] = first;
      first = record;
      records += 1;
    }
    const head = (HEADER_AT + HEADER_FLOW_FREE) >>> 2;
    this.#words[head] = first;
    this.#words[head + 1] = this.#word(HEADER_AT + HEADER_FLOW_FREE + 4) + 1; // as after a pop
    this.#words[(HEADER_AT + HEADER_FLOW_NEXT) >>> 2] = end;
    const flows = end - 1 - records;
    this.#words[(HEADER_AT + HEADER_FLOW_COUNT) >>> 2] = flows;
    return { flows, records: records - before };
  }

  /** How many records the stack holds; it may be cut short. */
  #freeRecords(end: number): number {
    let count = 0;
    let record = this.#header(HEADER_FLOW_FREE);
    while (record !== 0 && record < end && count < end) {
      count += 1;
      record = this.#word(this.#flowAt(record) + FLOW_FREE_NEXT);
    }
    return count;
  }

  #recount(end: number): void {
    const loadsAt = this.#region(Region.instanceLoads);
    const loadsEnd = this.#region(Region.addresses) - INSTANCE_LOAD_SIZE;
    for (let at = loadsAt; at <= loadsEnd; at += INSTANCE_LOAD_SIZE) {
      this.#words[(at + INSTANCE_LOAD_SERVED) >>> 2] = 0;
      this.#words[(at + INSTANCE_LOAD_CALLED) >>> 2] = 0;
    }
    let clients = 0;
    for (let record = 1; record < end; record++) {
      const at = this.#flowAt(record);
      const state = this.#bytes[at + FLOW_STATE] as number;
      if (state === FlowState.free) continue;
      if (this.#count(at + FLOW_CLIENT_INSTANCE, at + FLOW_CLIENT_INCARNATION, INSTANCE_LOAD_CALLED) === 1)
        clients += 1;
      const isBalanced = ((this.#bytes[at + FLOW_SEEN] ?? 0) & FLOW_IS_BALANCED) !== 0;
      if (!isBalanced || state === FlowState.tcpClosed) continue;
      this.#count(at + FLOW_INSTANCE, at + FLOW_INSTANCE_INCARNATION, INSTANCE_LOAD_SERVED);
    }
    this.#words[(HEADER_AT + HEADER_CLIENT_COUNT) >>> 2] = clients;
  }

  /** Adds one to a count of the instance, if that is still the one of the flow; returns what it is now, else 0. */
  #count(instanceAt: number, incarnationAt: number, which: number): number {
    const at = this.#region(Region.instanceLoads) + this.#word(instanceAt) * INSTANCE_LOAD_SIZE + which;
    if (this.#word(at + 4) !== this.#word(incarnationAt)) return 0;
    this.#words[at >>> 2] = this.#word(at) + 1;
    return this.#word(at);
  }

  /** What waited in the worker's area, and what it was about to send. Its counters stay. */
  #clearArea(worker: number): void {
    const area = this.#workerAt(worker);
    this.#words[(area + WORKER_UDP_TX_COUNT) >>> 2] = 0;
    this.#words[(area + WORKER_TUN_TX_COUNT) >>> 2] = 0;
    this.#bytes.fill(0, area + WORKER_WAITING_FRAGMENTS, area + WORKER_RELEASED_FIRST + 4);
    this.#bytes.fill(0, area + WORKER_FRAGMENT_HEADS, area + WORKER_HOLD_BLOCKS);
  }

  #flowAt(record: number): number {
    return this.#region(Region.flows) + record * FLOW_SIZE;
  }

  #workerAt(worker: number): number {
    return this.#region(Region.workers) + worker * WORKER_SIZE;
  }

  #region(region: Region): number {
    return this.#header(HEADER_REGIONS + 4 * region);
  }

  #header(offset: number): number {
    return this.#word(HEADER_AT + offset);
  }

  #word(at: number): number {
    return this.#words[at >>> 2] as number;
  }
}
