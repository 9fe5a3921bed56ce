// Tries an engine before a worker gets it: its self-test, in a thread of its own.
// Promises: it ends, whatever the module does.

import { Worker } from "node:worker_threads";
import { SapwoodError } from "../errors.ts";
import type { EngineTrialAnswer, EngineTrialData } from "./engine-trial-contract.ts";

/** The self-test takes some milliseconds. */
const LIMIT_MS = 5000;

// Compiled, this file has the thread's beside it; as source (a test) it uses the compiled one.
const THREAD = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/src/dataplane/engine-trial-thread.js" : "./engine-trial-thread.js",
  import.meta.url,
);

/** Throws module-refused. */
export async function tryEngine(workerData: EngineTrialData, limitMs: number = LIMIT_MS): Promise<void> {
  const thread = new Worker(THREAD, { name: "sapwood-trial", workerData });
  let limit: NodeJS.Timeout | undefined;
  try {
    const refusal = await new Promise<string | undefined>((resolve) => {
      limit = setTimeout(() => resolve(`The engine module did not end its self-test within ${limitMs} ms.`), limitMs);
      thread.on("message", (answer: EngineTrialAnswer) => resolve(answer.refusal));
      thread.on("error", (error) => resolve(`The engine module failed its self-test: ${String(error)}.`));
    });
    if (refusal !== undefined) throw new SapwoodError("module-refused", refusal);
  } finally {
    clearTimeout(limit);
    await thread.terminate();
  }
}
