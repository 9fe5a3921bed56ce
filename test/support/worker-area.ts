// A worker's area in a memory that holds nothing else: for the devices, which need no engine.

import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { WorkerArea } from "../../src/dataplane/io/device.ts";

export const AREAS_AT = 65536;

export interface TestArea {
  readonly area: WorkerArea;
  /** The u64 at a byte offset of the area. */
  readonly u64: (offset: number) => bigint;
}

export function createArea(worker = 0): TestArea {
  const pages = (AREAS_AT + (worker + 1) * WorkerLayout.SIZE) / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const view = new DataView(memory.buffer);
  view.setUint32(HeaderLayout.AT + HeaderLayout.REGIONS + 4 * Region.workers, AREAS_AT, true);
  const at = AREAS_AT + worker * WorkerLayout.SIZE;
  return { area: new WorkerArea(memory, worker), u64: (offset) => view.getBigUint64(at + offset, true) };
}
