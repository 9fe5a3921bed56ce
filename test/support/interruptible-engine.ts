// The engine in a form that a test can break off in front of each access to memory: what the end of a thread would
// leave undone is not done.
import type { EngineExports } from "../../src/dataplane/modules/engine-contract.ts";
import { instantiateInstrumented, loadInstrumentedEngine } from "./instrumented-engine.ts";

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
  const module = await loadInstrumentedEngine();
  let left = Number.POSITIVE_INFINITY;
  const onAccess = (): void => {
    if (left-- <= 0) throw new BrokenOff();
  };
  return {
    start(worker) {
      const engine = instantiateInstrumented(module, memory, choose, onAccess);
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
