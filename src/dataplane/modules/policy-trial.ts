// Tries a policy module on candidates, in a thread of its own; the process is that of trials (trial-process.ts).
// Promises: it ends, whatever the module does; a module that does not return is ended with its thread.

import { Worker } from "node:worker_threads";
import { SapwoodError } from "../../base/errors.ts";
import { watchThread } from "./call-watch.ts";
import * as Trial from "./policy-trial-contract.ts";

const LOOK_MS = 5;
/** The thread itself notices a call that was too slow; what takes this many times as long is taken not to return. */
const PATIENCE = 4;

const THREAD = new URL("./policy-trial-thread.js", import.meta.url);

/** `module` is compiled and not yet checked. */
export function runPolicyTrial(module: WebAssembly.Module, plan: Trial.TrialPlan): Promise<Trial.TrialReport> {
  const progress = new SharedArrayBuffer(Trial.PROGRESS_BYTES);
  const workerData: Trial.TrialOptions = { plan, module, progress };
  const thread = new Worker(THREAD, { name: "sapwood-trial", workerData });
  const outcomes: Trial.SetOutcome[] = [];
  const violations: Trial.Violation[] = [];
  let memoryBytes = 0;
  let failure: unknown = new SapwoodError("internal", "The trial of a policy ended without a report.");

  const words = new Int32Array(progress);
  const limitMs = plan.timeLimitMs * PATIENCE;
  const word = words.subarray(Trial.PROGRESS_SEQUENCE);
  const stop = watchThread({ word, looksEveryMs: LOOK_MS, limitMs, cpuLimitMs: limitMs / 2 }, () => {
    violations.push(timeout(words, plan));
    failure = undefined;
    void thread.terminate();
  });

  return new Promise((resolve, reject) => {
    thread.on("message", (message: Trial.TrialMessage) => {
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
      stop();
      if (failure === undefined) resolve({ outcomes, memoryBytes, violations });
      else reject(failure);
    });
  });
}

function timeout(words: Int32Array, { sets, timeLimitMs }: Trial.TrialPlan): Trial.Violation {
  const call = Trial.TrialCall[Atomics.load(words, Trial.PROGRESS_CALL)] ?? "";
  const set =
    call === Trial.TrialCall[Trial.TrialCall.start] ? undefined : sets[Atomics.load(words, Trial.PROGRESS_SET)]?.name;
  const example = `${call} did not return within ${timeLimitMs * PATIENCE} ms`;
  return { kind: "timeout", set, count: 1, example };
}
