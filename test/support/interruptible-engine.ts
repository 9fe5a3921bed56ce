// The engine with a host call in front of each access to memory, so that a test can break a call off there. Nothing
// that the engine does changes; only what the end of a thread would leave undone is not done.
import { readFile } from "node:fs/promises";
import binaryen from "binaryen";
import type { EngineExports } from "../../src/dataplane/modules/engine-contract.ts";
import { builtModulePath } from "../../src/dataplane/modules/wasm.ts";

class BrokenOff extends Error {}

interface InterruptibleEngine {
  /** A fresh instance, as a new thread has it. */
  start(worker: number): EngineExports;
  /** Runs a call, which ends before access number `accesses`; false if it was over by then. */
  breaksOff(accesses: number, call: () => void): boolean;
}

export async function interruptibleEngine(
  memory: WebAssembly.Memory,
  choose: () => number,
): Promise<InterruptibleEngine> {
  const module = new WebAssembly.Module(instrument(await readFile(builtModulePath("engine"))));
  let left = Number.POSITIVE_INFINITY;
  const access = (_id: number, _bytes: number, _offset: number, address: number): number => {
    if (left-- <= 0) throw new BrokenOff();
    return address;
  };
  const same = <T>(_id: number, value: T): T => value;
  const env: Record<string, unknown> = { memory };
  for (const { name } of WebAssembly.Module.imports(module)) {
    if (name.endsWith("_ptr")) env[name] = access;
    else if (name !== "memory" && name !== "choose") env[name] = same;
  }
  return {
    start(worker) {
      const { exports } = new WebAssembly.Instance(module, { env, policy: { choose } } as WebAssembly.Imports);
      const engine = exports as unknown as EngineExports;
      engine.attach(worker, 0n);
      return engine;
    },
    breaksOff(accesses, call) {
      left = accesses;
      try {
        call();
        return false;
      } catch (error) {
        if (!(error instanceof BrokenOff)) throw error;
        return true;
      } finally {
        left = Number.POSITIVE_INFINITY;
      }
    },
  };
}

function instrument(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const module = binaryen.readBinary(bytes);
  module.setFeatures(binaryen.Features.All);
  module.runPasses(["instrument-memory"]);
  const instrumented = module.emitBinary();
  module.dispose();
  return new Uint8Array(instrumented);
}
