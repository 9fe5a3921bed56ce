// Inner functions of the engine (assembly/workbench.ts) on a memory of their own.
import { readFile } from "node:fs/promises";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { builtModulePath } from "../../src/dataplane/modules/wasm.ts";
import { createSharedMemory, type SharedMemory } from "../../src/memory/shared-memory.ts";

/** Exports of workbench.wasm; checksums and words are in the byte order of memory. */
interface WorkbenchExports {
  attach(worker: number, memoryBase: bigint): void;
  checksum(at: number, length: number): number;
  checksumRepeated(at: number, length: number, times: number): number;
  updateWord(before: number, from: number, to: number): number;
  updateAddress(before: number, fromAt: number, toAt: number): number;
  hashSip(keyAt: number, at: number): bigint;
  hashAddress(key: number): number;
  findServices(keys: number, count: number): number;
  parse(at: number, length: number): number;
  parseRepeated(at: number, length: number, times: number): number;
  translateFamily(at: number, length: number, addresses: number, isDetached: number, result: number): number;
  icmpCounterpart(
    isIpv4: number,
    type: number,
    code: number,
    word: number,
    quotedLength: number,
    linkMtu: number,
  ): bigint;
  copyEach(from: number, fromStride: number, to: number, toStride: number, length: number, count: number): void;
  storePorts(at: number, stride: number, first: number, count: number): void;
}

export interface Workbench {
  readonly exports: WorkbenchExports;
  readonly shared: SharedMemory;
  /** Where a test may put up to a few MiB. */
  readonly scratchAt: number;
}

const SMALL = { flows: 16, addresses: 16, instances: 16, workloads: 16, nodes: 16, workers: 1 };

const FUNCTIONS: readonly (keyof WorkbenchExports)[] = [
  "attach",
  "checksum",
  "checksumRepeated",
  "updateWord",
  "updateAddress",
  "hashSip",
  "hashAddress",
  "findServices",
  "parse",
  "parseRepeated",
  "translateFamily",
  "icmpCounterpart",
  "copyEach",
  "storePorts",
];

/** On the given memory, or on one of its own. */
export async function loadWorkbench(shared = createSharedMemory({ capacities: SMALL })): Promise<Workbench> {
  const module = await WebAssembly.compile(await readFile(builtModulePath("workbench")));
  const { exports } = await WebAssembly.instantiate(module, { env: { memory: shared.memory } });
  if (!isWorkbench(exports)) throw new Error(`workbench.wasm lacks one of ${FUNCTIONS.join(", ")}`);
  exports.attach(0, 0n);
  return { exports, shared, scratchAt: shared.at(Region.workers) + WorkerLayout.TUN_SLOTS };
}

function isWorkbench(exports: Record<string, unknown>): exports is Record<string, unknown> & WorkbenchExports {
  return FUNCTIONS.every((name) => typeof exports[name] === "function");
}
