// The module that takes over the flows of a process before this one (assembly/adoption.ts). It runs on the main thread,
// before there are workers.

import { Region } from "../../../assembly/shared/layout/header.ts";
import { LAYOUT_VERSION } from "../../../assembly/shared/layout/version.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import { addressOf } from "../../sys/libc.ts";
import { readRegularFile } from "../../sys/user-file.ts";
import type { FlowFile } from "../io/flow-file.ts";
import { builtModulePath, MODULE_BYTES_MAX } from "./wasm.ts";

interface AdoptionExports {
  layoutVersion(): number;
  attach(worker: number, memoryBase: bigint): void;
  adopt(at: number, records: number, shiftMs: number, nowMs: number): void;
}

/** Puts the flows of the process before into the table. `nowMs` is of the workers' clock. */
export async function adoptFlows(shared: SharedMemory, former: FlowFile, nowMs: number): Promise<void> {
  const first = former.readFormer(0);
  if (first === 0) return;
  const module = await WebAssembly.compile(readRegularFile(builtModulePath("adoption"), MODULE_BYTES_MAX));
  const { exports } = new WebAssembly.Instance(module, { env: { memory: shared.memory } });
  const { layoutVersion, attach, adopt } = exports as unknown as AdoptionExports;
  if (layoutVersion() !== LAYOUT_VERSION) throw new RangeError("adoption.wasm is of another version");
  attach(0, addressOf(shared.memory.buffer));
  const now = Math.trunc(nowMs % 2 ** 32);
  for (let records = first, at = 0; records > 0; records = former.readFormer(at)) {
    adopt(shared.at(Region.adoption), records, former.shiftMs, now);
    at += records;
  }
}
