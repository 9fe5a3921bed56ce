// Tries a policy module on candidates before anybody relies on it, in a thread of its own.
// Promises: it ends, whatever the module does; a module that does not return is ended with its thread.

import { Worker } from "node:worker_threads";
import { SapwoodError } from "../errors.ts";
import { CallWatch } from "./call-watch.ts";
import {
  PROGRESS_BYTES,
  PROGRESS_CALL,
  PROGRESS_SEQUENCE,
  PROGRESS_SET,
  type SetOutcome,
  TrialCall,
  type TrialMessage,
  type TrialOptions,
  type TrialPlan,
  type TrialReport,
  type Violation,
} from "./policy-trial-contract.ts";

const LOOK_MS = 5;
/** The thread itself notices a call that was too slow; what takes so many times as long is taken not to return. */
const PATIENCE = 4;

// Compiled, this file has the thread's beside it; as source (a test) it uses the compiled one.
const THREAD = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/src/dataplane/policy-trial-thread.js" : "./policy-trial-thread.js",
  import.meta.url,
);

/** `module` is compiled and not yet checked. */
export function tryPolicy(module: WebAssembly.Module, plan: TrialPlan): Promise<TrialReport> {
  const progress = new SharedArrayBuffer(PROGRESS_BYTES);
  const workerData: TrialOptions = { plan, module, progress };
  const thread = new Worker(THREAD, { name: "sapwood-trial", workerData });
  const outcomes: SetOutcome[] = [];
  const violations: Violation[] = [];
  let memoryBytes = 0;
  let failure: unknown = new SapwoodError("internal", "The trial of a policy ended without a report.");

  const words = new Int32Array(progress);
  const looks = Math.ceil((plan.timeLimitMs * PATIENCE) / LOOK_MS);
  const watch = new CallWatch([{ sequence: () => Atomics.load(words, PROGRESS_SEQUENCE), looks }]);
  const timer = setInterval(() => {
    if (watch.look().length === 0) return;
    clearInterval(timer);
    violations.push(timeout(words, plan));
    failure = undefined;
    void thread.terminate();
  }, LOOK_MS);

  return new Promise((resolve, reject) => {
    thread.on("message", (message: TrialMessage) => {
      violations.push(...message.violations);
      if (message.type === "set") {
        outcomes.push(message.outcome);
      } else {
        memoryBytes = message.memoryBytes;
        failure = undefined;
      }
    });
    thread.on("error", (error) => {
      failure = error;
    });
    thread.on("exit", () => {
      clearInterval(timer);
      if (failure === undefined) resolve({ outcomes, memoryBytes, violations });
      else reject(failure);
    });
  });
}

function timeout(words: Int32Array, { sets, timeLimitMs }: TrialPlan): Violation {
  const call = TrialCall[Atomics.load(words, PROGRESS_CALL)] ?? "";
  const set = call === TrialCall[TrialCall.start] ? undefined : sets[Atomics.load(words, PROGRESS_SET)]?.name;
  const example = `${call} did not return within ${timeLimitMs * PATIENCE} ms`;
  return { kind: "timeout", set, count: 1, example };
}
