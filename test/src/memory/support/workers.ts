// Workers that look things up while the table writer stores.

import { expect } from "vitest";
import * as HeaderLayout from "../../../../assembly/shared/layout/header.ts";
import { Region } from "../../../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../../../assembly/shared/layout/worker.ts";
import { Cells } from "../../../../src/memory/cells.ts";
import type { SharedMemory } from "../../../../src/memory/shared-memory.ts";
import type { Instance } from "../../../../src/model/tables.ts";
import type { Random } from "../../../support/random.ts";
import { ADDRESSES, type Content, expectedService, expectedWorkload, NAMESPACES } from "./random-tables.ts";
import { type Look, now, TableReader } from "./table-reader.ts";

/** Whether the worker is inside a call, as its sequence tells the writer. */
export function setSequence(shared: SharedMemory, worker: number, isInside: boolean): void {
  const at = (shared.at(Region.workers) + worker * WorkerLayout.SIZE + WorkerLayout.SEQUENCE) >>> 2;
  if (((shared.i32[at] ?? 0) & 1) !== (isInside ? 1 : 0)) Atomics.add(shared.i32, at, 1);
}

/** Calls back after every store. */
export class WatchedCells extends Cells {
  onStore: () => void = () => undefined;

  override u16(at: number, value: number): void {
    super.u16(at, value);
    this.onStore();
  }

  override u16NetworkOrder(at: number, value: number): void {
    super.u16NetworkOrder(at, value);
    this.onStore();
  }

  override u32(at: number, value: number): void {
    super.u32(at, value);
    this.onStore();
  }

  override f32(at: number, value: number): void {
    super.f32(at, value);
    this.onStore();
  }

  override atomic(at: number, value: number): void {
    super.atomic(at, value);
    this.onStore();
  }

  override address(at: number, words: Uint32Array | undefined): void {
    super.address(at, words);
    this.onStore();
  }

  override clear(at: number, sizeBytes: number): void {
    super.clear(at, sizeBytes);
    this.onStore();
  }
}

/** How likely each worker goes on between two stores: slow ones still read when the next generation is being written. */
const PACES = [0.9, 0.5, 0.1, 0.02];

/** A worker in the middle of a look-up, and what it has to find. */
interface Visit {
  readonly look: Look<unknown>;
  readonly expected: unknown;
  readonly what: string;
}

/** A flow: the instance that it was bound to, and since which generation that one is gone. */
export interface Binding {
  readonly index: number;
  readonly incarnation: number;
  readonly service: string;
  readonly instance: Instance;
  goneSince: number | undefined;
}

/** Four workers that look things up while the writer stores. */
export class Workers {
  readonly contents = new Map<number, Content>();
  readonly bindings: Binding[] = [];
  finishedCount = 0;
  readonly #shared: SharedMemory;
  readonly #reader: TableReader;
  readonly #random: Random;
  readonly #visits: (Visit | undefined)[];

  constructor(shared: SharedMemory, random: Random) {
    this.#shared = shared;
    this.#reader = new TableReader(shared);
    this.#random = random;
    this.#visits = new Array<Visit | undefined>(shared.capacities.workers).fill(undefined);
  }

  /** Between two stores: each worker begins a look-up or goes on with its own, now and then to its end. */
  go(): void {
    this.#visits.forEach((visit, worker) => {
      if (visit === undefined) {
        if (this.#random.chance(0.3)) this.#begin(worker);
      } else if (this.#random.chance(PACES[worker] ?? 1)) {
        this.#advance(worker, visit, 1 + this.#random.below(3));
      }
    });
  }

  finishAll(): void {
    this.#visits.forEach((visit, worker) => {
      if (visit !== undefined) this.#advance(worker, visit, Number.POSITIVE_INFINITY);
    });
  }

  /** Every address at the generation in force, at once. */
  checkAll(): void {
    const generation = this.#generation();
    const content = this.#contentOf(generation);
    for (const address of ADDRESSES) {
      expect(now(this.#reader.service(generation, address)), address).toEqual(expectedService(content, address));
    }
    for (const namespace of NAMESPACES.flat()) {
      expect(now(this.#reader.workload(generation, namespace)), namespace).toEqual(
        expectedWorkload(content, namespace),
      );
    }
  }

  #begin(worker: number): void {
    setSequence(this.#shared, worker, true);
    const generation = this.#generation();
    const content = this.#contentOf(generation);
    const latest = this.bindings.slice(-12); // whose records are given up and reused about now
    const binding = latest.length > 0 ? this.#random.pick(latest) : undefined;
    const kind = this.#random.below(binding === undefined ? 2 : 3);
    const address = this.#random.pick(ADDRESSES);
    const namespace = this.#random.pick(NAMESPACES.flat());
    if (kind === 0) {
      const look = this.#reader.service(generation, address);
      this.#visits[worker] = { look, expected: expectedService(content, address), what: `${address} in ${generation}` };
    } else if (kind === 1) {
      const look = this.#reader.workload(generation, namespace);
      const expected = expectedWorkload(content, namespace);
      this.#visits[worker] = { look, expected, what: `${namespace} in ${generation}` };
    } else if (binding !== undefined) {
      const look = this.#reader.isAlive(generation, binding.index, binding.incarnation);
      const expected = binding.goneSince === undefined || generation < binding.goneSince;
      this.#visits[worker] = { look, expected, what: `instance record ${binding.index} in ${generation}` };
    }
  }

  #advance(worker: number, visit: Visit, steps: number): void {
    for (let i = 0; i < steps; i++) {
      const step = visit.look.next();
      if (step.done !== true) continue;
      expect(step.value, visit.what).toEqual(visit.expected);
      this.finishedCount += 1;
      this.#visits[worker] = undefined;
      setSequence(this.#shared, worker, false);
      return;
    }
  }

  #generation(): number {
    return Atomics.load(this.#shared.i32, (HeaderLayout.AT + HeaderLayout.GENERATION) >>> 2);
  }

  #contentOf(generation: number): Content {
    const content = this.contents.get(generation);
    if (content === undefined) throw new RangeError(`no generation ${generation}`);
    return content;
  }
}

/** Waits for the writer while the workers, which it may be waiting for, come to an end. */
export async function awaitWith<T>(workers: Workers, promise: Promise<T>): Promise<T> {
  let isDone = false;
  const settled = promise.finally(() => {
    isDone = true;
  });
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    if (isDone) break;
    workers.finishAll();
  }
  return settled;
}
