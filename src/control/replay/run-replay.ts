// Replays a capture in a thread of its own. Promises: it ends, whatever the engine or a policy does; a call that does not
// return is ended with its thread.

import { Worker } from "node:worker_threads";
import { SapwoodError } from "../../base/errors.ts";
import { watchThread } from "../../dataplane/modules/call-watch.ts";
import {
  PROGRESS_BYTES,
  PROGRESS_PACKET,
  PROGRESS_SEQUENCE,
  type ReplayFindings,
  type ReplayMessage,
  type ReplayPlan,
  type ReplayThreadOptions,
} from "./replay-contract.ts";

// Compiled, this file has the thread's beside it; as source (a test) it uses the compiled one.
const THREAD = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/src/control/replay/replay-thread.js" : "./replay-thread.js",
  import.meta.url,
);
const LOOK_MS = 20;
/** Of processor time, for one packet and what was due before it: thousands of times what it takes. */
const PACKET_LIMIT_MS = 5000;

/** Throws capture-unreadable, or module-refused when the engine or a policy fails. */
export async function runReplay(plan: ReplayPlan, packetLimitMs = PACKET_LIMIT_MS): Promise<ReplayFindings> {
  const progress = new SharedArrayBuffer(PROGRESS_BYTES);
  const workerData: ReplayThreadOptions = { ...plan, progress };
  const thread = new Worker(THREAD, { name: "sapwood-replay", workerData });
  const words = new Int32Array(progress);
  const word = words.subarray(PROGRESS_SEQUENCE);
  let stop = (): void => undefined;
  try {
    const message = await new Promise<ReplayMessage>((resolve) => {
      const limits = { limitMs: packetLimitMs, cpuLimitMs: packetLimitMs };
      stop = watchThread({ word, looksEveryMs: LOOK_MS, ...limits }, () =>
        resolve(overdue(Atomics.load(words, PROGRESS_PACKET), packetLimitMs)),
      );
      thread.on("message", resolve);
      thread.on("error", (error) => resolve({ kind: "failed", message: String(error) }));
      thread.on("exit", () => resolve({ kind: "failed", message: "its thread ended without an answer" }));
    });
    if (message.kind === "done") return message.findings;
    if (message.kind === "refused") throw new SapwoodError(message.code, message.message);
    throw new SapwoodError("internal", `The capture could not be replayed: ${message.message}.`);
  } finally {
    stop();
    await thread.terminate();
  }
}

function overdue(packet: number, limitMs: number): ReplayMessage {
  const where = packet === 0 ? "when it was started" : `at packet ${packet}`;
  const message = `The engine or a policy did not return within ${limitMs} ms ${where}.`;
  return { kind: "refused", code: "module-refused", message };
}
