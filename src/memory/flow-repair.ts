// What a worker leaves behind that ends in the middle of a call: a locked bucket, a flow of which one entry is gone, a
// record that nobody owns, counts that are off. Nothing of it is guessed: the states of the records say which flows
// live, and entries, free records and counts follow from them.
//   1. releaseLock() at once, since other workers wait for that lock inside their calls.
//   2. beginRepair(): workers that enter a call stand aside; those inside go on, until all are outside.
//   3. repairFlowTable() walks the whole table. 4. endRepair() lets the workers go on.

import { setTimeout as sleep } from "node:timers/promises";
import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";

const POLL_INTERVAL_MS = 1;
const BOTH_ENTRIES = 3;

/** What a walk found that was not as it must be. */
interface FlowRepair {
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
    this.#workerCount = this.#header(HeaderLayout.WORKER_COUNT);
  }

  /**
   * The thread of a worker is gone: frees the lock that it held, if any. Locks of the next thread have another owner.
   */
  releaseLock(worker: number): void {
    const area = this.#workerAt(worker);
    const incarnation = this.#word(area + WorkerLayout.INCARNATION);
    const owner = (incarnation << FlowLayout.LOCK_WORKER_BITS) | (worker + 1);
    const bucket = this.#word(area + WorkerLayout.LOCKING);
    const lock = (bucket + FlowLayout.BUCKET_LOCK) >>> 2;
    if (bucket !== 0 && Atomics.compareExchange(this.#signed, lock, owner, 0) === owner) {
      Atomics.notify(this.#signed, lock);
    }
    this.#words[(area + WorkerLayout.INCARNATION) >>> 2] = incarnation + 1;
  }

  beginRepair(): void {
    Atomics.store(this.#signed, (HeaderLayout.AT + HeaderLayout.REPAIR) >>> 2, 1);
  }

  endRepair(): void {
    Atomics.store(this.#signed, (HeaderLayout.AT + HeaderLayout.REPAIR) >>> 2, 0);
    Atomics.notify(this.#signed, (HeaderLayout.AT + HeaderLayout.REPAIR) >>> 2);
  }

  /** Resolves when no worker is in a call. Between beginRepair() and endRepair() none enters one. */
  async allOutside(): Promise<void> {
    const isInside = (worker: number): boolean =>
      (Atomics.load(this.#signed, (this.#workerAt(worker) + WorkerLayout.SEQUENCE) >>> 2) & 1) === 1;
    while (Array.from({ length: this.#workerCount }, (_, worker) => worker).some(isInside)) {
      await sleep(POLL_INTERVAL_MS);
    }
  }

  /** `died` are the workers that ended in a call: what was in their hands is lost. No worker may be in a call. */
  repair(died: Iterable<number>): FlowRepair {
    for (const worker of died) this.#clearArea(worker);
    const end = Math.min(
      this.#header(HeaderLayout.FLOW_NEXT),
      this.#header(HeaderLayout.FLOW_LIMIT) + FlowLayout.SLACK + 1,
    );
    const found = this.#countEntries(end);
    for (let record = 1; record < end; record++) {
      // Both entries are put before a flow lives, and taken after it has ended.
      if (found[record] !== BOTH_ENTRIES) this.#bytes[this.#flowAt(record) + FlowLayout.STATE] = FlowState.free;
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
      const record = (entry >>> 1) & FlowLayout.INDEX_MASK;
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
      const record = (entry >>> 1) & FlowLayout.INDEX_MASK;
      const direction = 1 << (entry & 1);
      const isLive = record < end && this.#bytes[this.#flowAt(record) + FlowLayout.STATE] !== FlowState.free;
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
    const end = begin + (this.#header(HeaderLayout.FLOW_BUCKET_MASK) + 1) * FlowLayout.BUCKET_SIZE;
    for (let bucket = begin; bucket < end; bucket += FlowLayout.BUCKET_SIZE) {
      const first = (bucket + FlowLayout.BUCKET_ENTRIES) >>> 2;
      for (let at = first; at < first + FlowLayout.BUCKET_ENTRY_COUNT; at++) {
        const entry = words[at] as number;
        if (entry !== 0 && !keeps(entry)) words[at] = 0;
      }
    }
  }

  /** All records without a flow become one stack; nobody can still be reading one. */
  #relinkFree(end: number): { flows: number; records: number } {
    for (let worker = 0; worker < this.#workerCount; worker++) {
      this.#words[(this.#workerAt(worker) + WorkerLayout.LIMBO_YOUNG) >>> 2] = 0;
      this.#words[(this.#workerAt(worker) + WorkerLayout.LIMBO_OLD) >>> 2] = 0;
    }
    const before = this.#freeRecords(end);
    let first = 0;
    let records = 0;
    for (let record = end - 1; record > 0; record--) {
      const at = this.#flowAt(record);
      if (this.#bytes[at + FlowLayout.STATE] !== FlowState.free) continue;
      this.#words[(at + FlowLayout.FREE_NEXT) >>> 2] = first;
      first = record;
      records += 1;
    }
    const head = (HeaderLayout.AT + HeaderLayout.FLOW_FREE) >>> 2;
    this.#words[head] = first;
    this.#words[head + 1] = this.#word(HeaderLayout.AT + HeaderLayout.FLOW_FREE + 4) + 1; // as after a pop
    this.#words[(HeaderLayout.AT + HeaderLayout.FLOW_NEXT) >>> 2] = end;
    const flows = end - 1 - records;
    this.#words[(HeaderLayout.AT + HeaderLayout.FLOW_COUNT) >>> 2] = flows;
    return { flows, records: records - before };
  }

  /** How many records the stack holds; it may be cut short. */
  #freeRecords(end: number): number {
    let count = 0;
    let record = this.#header(HeaderLayout.FLOW_FREE);
    while (record !== 0 && record < end && count < end) {
      count += 1;
      record = this.#word(this.#flowAt(record) + FlowLayout.FREE_NEXT);
    }
    return count;
  }

  #recount(end: number): void {
    const loadsAt = this.#region(Region.instanceLoads);
    const loadsEnd = this.#region(Region.addresses) - InstanceLayout.LOAD_SIZE;
    for (let at = loadsAt; at <= loadsEnd; at += InstanceLayout.LOAD_SIZE) {
      this.#words[(at + InstanceLayout.LOAD_SERVED) >>> 2] = 0;
      this.#words[(at + InstanceLayout.LOAD_CALLED) >>> 2] = 0;
    }
    let clients = 0;
    for (let record = 1; record < end; record++) {
      const at = this.#flowAt(record);
      const state = this.#bytes[at + FlowLayout.STATE] as number;
      if (state === FlowState.free || (state & FlowLayout.UNBOUND) !== 0) continue; // an unbound one leads to none
      if (
        this.#count(at + FlowLayout.CLIENT_INSTANCE, at + FlowLayout.CLIENT_INCARNATION, InstanceLayout.LOAD_CALLED) ===
        1
      )
        clients += 1;
      const isBalanced = ((this.#bytes[at + FlowLayout.SEEN] ?? 0) & FlowLayout.IS_BALANCED) !== 0;
      if (!isBalanced || state === FlowState.tcpClosed) continue;
      this.#count(at + FlowLayout.INSTANCE, at + FlowLayout.INSTANCE_INCARNATION, InstanceLayout.LOAD_SERVED);
    }
    this.#words[(HeaderLayout.AT + HeaderLayout.CLIENT_COUNT) >>> 2] = clients;
  }

  /** Adds one to a count of the instance, if that is still the one of the flow; returns what it is now, else 0. */
  #count(instanceAt: number, incarnationAt: number, which: number): number {
    const at = this.#region(Region.instanceLoads) + this.#word(instanceAt) * InstanceLayout.LOAD_SIZE + which;
    if (this.#word(at + 4) !== this.#word(incarnationAt)) return 0;
    this.#words[at >>> 2] = this.#word(at) + 1;
    return this.#word(at);
  }

  /** What waited in the worker's area, and what it was about to send. Its counters stay. */
  #clearArea(worker: number): void {
    const area = this.#workerAt(worker);
    this.#words[(area + WorkerLayout.UDP_TX_COUNT) >>> 2] = 0;
    this.#words[(area + WorkerLayout.TUN_TX_COUNT) >>> 2] = 0;
    this.#bytes.fill(0, area + WorkerLayout.WAITING_FRAGMENTS, area + WorkerLayout.RELEASED_FIRST + 4);
    this.#bytes.fill(0, area + WorkerLayout.FRAGMENT_HEADS, area + WorkerLayout.HOLD_BLOCKS);
  }

  #flowAt(record: number): number {
    return this.#region(Region.flows) + record * FlowLayout.SIZE;
  }

  #workerAt(worker: number): number {
    return this.#region(Region.workers) + worker * WorkerLayout.SIZE;
  }

  #region(region: Region): number {
    return this.#header(HeaderLayout.REGIONS + 4 * region);
  }

  #header(offset: number): number {
    return this.#word(HeaderLayout.AT + offset);
  }

  #word(at: number): number {
    return this.#words[at >>> 2] as number;
  }
}
