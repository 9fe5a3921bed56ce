// Tries a policy module on candidates, in a thread of its own; the process is that of trials (trial-process.ts).
// Promises: it ends, whatever the module does; a module that does not return is ended with its thread.

import { Worker } from "node:worker_threads";
import { SapwoodError } from "../../base/errors.ts";
import { processCpuMs } from "../../sys/thread-clock.ts";
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
/** The thread itself notices a call that was too slow; what takes this many times as long is taken not to return. */
const PATIENCE = 4;

const THREAD = new URL("./policy-trial-thread.js", import.meta.url);

/** `module` is compiled and not yet checked. */
export function runPolicyTrial(module: WebAssembly.Module, plan: TrialPlan): Promise<TrialReport> {
  const progress = new SharedArrayBuffer(PROGRESS_BYTES);
  const workerData: TrialOptions = { plan, module, progress };
  const thread = new Worker(THREAD, { name: "sapwood-trial", workerData });
  const outcomes: SetOutcome[] = [];
  const violations: Violation[] = [];
  let memoryBytes = 0;
  let failure: unknown = new SapwoodError("internal", "The trial of a policy ended without a report.");

  const words = new Int32Array(progress);
  const limitMs = plan.timeLimitMs * PATIENCE;
  const watch = new CallWatch([
    {
      sequence: () => Atomics.load(words, PROGRESS_SEQUENCE),
      looks: Math.ceil(limitMs / LOOK_MS),
      cpuLimitMs: limitMs / 2,
      cpuMs: processCpuMs,
    },
  ]);
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
