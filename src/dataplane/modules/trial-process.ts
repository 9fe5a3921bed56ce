// Entry of the process in which modules are tried. It may die of any of them: its memory and processor time are limited
// by the kernel. Every function is compiled by the optimizing compiler at once, so that nothing which a worker's
// process may come to compile later is compiled for the first time there.

import { setFlagsFromString } from "node:v8";
import { SapwoodError } from "../../base/errors.ts";
import { becomeExpendable, limitMemory, limitProcessorTime } from "../../sys/limits.ts";
import { processCpuMs } from "../../sys/thread-clock.ts";
import { runPolicyTrial } from "./policy-trial.ts";
import { selfTest } from "./self-test.ts";
import type { NamedRequest, TrialAnswer } from "./trial-contract.ts";

/** What Node and a trial take is some 200 MB. */
const MEMORY_BYTES = 2 ** 30;
/** Of a module; the one before may be in use by what the collector cannot see, as the stack. */
const INSTANCES = 2;

async function answerTo(request: NamedRequest): Promise<TrialAnswer> {
  // Modules and memories are large, and the collector, which sees small objects that stand for them, is in no hurry.
  globalThis.gc?.();
  limitProcessorTime(processCpuMs() / 1000 + request.cpuSeconds);
  limitMemory(MEMORY_BYTES + INSTANCES * request.memoryBytes);
  try {
    const module = new WebAssembly.Module(Uint8Array.from(request.bytes));
    if (request.kind === "policy") return { kind: "report", report: await runPolicyTrial(module, request.plan) };
    await selfTest(module, new WebAssembly.Module(Uint8Array.from(request.inForce)), request.isForced);
    return { kind: "passed" };
  } catch (error) {
    if (error instanceof SapwoodError) return { kind: "refused", message: error.message };
    if (error instanceof WebAssembly.CompileError) {
      return { kind: "refused", message: `${request.what} is no valid WebAssembly: ${error.message}.` };
    }
    return { kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

for (const flag of ["--no-liftoff", "--no-wasm-tier-up", "--no-wasm-lazy-compilation"]) setFlagsFromString(flag);
becomeExpendable();
process.on("disconnect", () => process.exit());
process.on("message", (request: NamedRequest) => {
  void answerTo(request).then((answer) => process.send?.(answer));
});
