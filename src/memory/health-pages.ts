// The pages by which nodes tell each other of the health of their instances, in the shared memory: writes this node's,
// says which ones of others are to be asked for, and takes those that came.

import { Region } from "../../assembly/shared/layout/header.ts";
import * as HealthPageLayout from "../../assembly/shared/layout/health-page.ts";
import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import type { SharedMemory } from "./shared-memory.ts";

/** Revisions have 31 bits and are never 0. */
const REVISION_MASK = 0x7fff_ffff;

export interface ReceivedPage {
  readonly node: number; // index of its record
  readonly revision: number;
  readonly bytes: Uint8Array; // a copy
}

/**
 * Puts other pages in the place of those that were told; each is HealthPageLayout.SIZE bytes. Returns the revision that
 * they have: the given number, as far as it can be one.
 */
export function writeHealthPages(shared: SharedMemory, number: number, pages: readonly Uint8Array[]): number {
  const revision = number & REVISION_MASK || 1;
  const at = shared.at(Region.healthPages);
  const sequenceAt = (at + HealthPageLayout.SEQUENCE) >>> 2;
  // Odd as long as it lasts; the revision that goes with it is still the one before.
  Atomics.or(shared.u32, sequenceAt, 1);
  shared.u32[(at + HealthPageLayout.PAGE_COUNT) >>> 2] = pages.length;
  pages.forEach((bytes, i) => {
    shared.bytes.set(bytes, at + HealthPageLayout.HEAD + i * HealthPageLayout.SIZE);
  });
  Atomics.store(shared.u32, sequenceAt, revision << 1);
  return revision;
}

/** The page that the node is asked for from now on, undefined = none. */
export function wantHealthPage(shared: SharedMemory, node: number, page: number | undefined): void {
  const at = shared.at(Region.nodes) + node * NodeLayout.SIZE + NodeLayout.WANTED_PAGE;
  Atomics.store(shared.u32, at >>> 2, page === undefined ? 0 : page + 1);
}

/** Of what the node tells, 0 = nothing. */
export function readToldRevision(shared: SharedMemory, node: number): number {
  const at = shared.at(Region.nodeMetrics) + node * NodeMetricsLayout.SIZE + NodeMetricsLayout.TOLD_REVISION;
  return Atomics.load(shared.u32, at >>> 2);
}

/** Takes what came to the workers since the last time. What was overwritten meanwhile has to be asked for again. */
export class HealthPageReader {
  readonly #shared: SharedMemory;
  readonly #taken: number[];

  constructor(shared: SharedMemory) {
    this.#shared = shared;
    this.#taken = new Array<number>(shared.capacities.workers).fill(0);
  }

  take(): ReceivedPage[] {
    return this.#taken.flatMap((_, worker) => this.#takeOf(worker));
  }

  #takeOf(worker: number): ReceivedPage[] {
    const { u32 } = this.#shared;
    const workerAt = this.#shared.at(Region.workers) + worker * WorkerLayout.SIZE;
    const came = Atomics.load(u32, (workerAt + WorkerLayout.PAGES_RECEIVED) >>> 2);
    const first = Math.max(this.#taken[worker] ?? 0, came - HealthPageLayout.RECEIVED_MAX);
    this.#taken[worker] = came;
    const pages: ReceivedPage[] = [];
    for (let turn = first + 1; turn <= came; turn++) {
      const slot = (turn - 1) % HealthPageLayout.RECEIVED_MAX;
      const at = workerAt + WorkerLayout.RECEIVED_PAGES + slot * HealthPageLayout.RECEIVED_SIZE;
      const pageAt = at + HealthPageLayout.RECEIVED_PAGE;
      const page = {
        node: u32[(at + HealthPageLayout.RECEIVED_NODE) >>> 2] ?? 0,
        revision: u32[(at + HealthPageLayout.RECEIVED_REVISION) >>> 2] ?? 0,
        bytes: this.#shared.bytes.slice(pageAt, pageAt + HealthPageLayout.SIZE),
      };
      // The worker may have begun to overwrite it.
      if (Atomics.load(u32, (at + HealthPageLayout.RECEIVED_TURN) >>> 2) === turn) pages.push(page);
    }
    return pages;
  }
}
