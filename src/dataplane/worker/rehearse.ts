// Rehearses a packet in a thread of its own, so that neither workers nor control wait for it, and an engine or policy
// that does not return holds nobody.

import { Worker } from "node:worker_threads";
import { SapwoodError } from "../../base/errors.ts";
import type { MemoryPlan } from "../../memory/memory-copy.ts";
import type { TestPacket } from "../modules/played-node.ts";
import type { Rehearsal } from "./rehearsal.ts";
import type { PolicyModule } from "./worker-contract.ts";

export interface RehearsalOptions {
  readonly plan: MemoryPlan;
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
  readonly packet: TestPacket;
  readonly nowUs: number; // of the workers' clock
}

/** `hasWaiting`: the copy knew of the first worker's fragments and of packets that wait. */
export type ToldRehearsal = Rehearsal & { readonly hasWaiting: boolean };
export type RehearsalMessage = { readonly rehearsal: ToldRehearsal } | { readonly failure: string };

/** A thread starts within milliseconds; on a machine that does much else, within seconds. Less than a client waits. */
const TIME_LIMIT_MS = 25_000;

/** Throws internal when there is no answer. `threadFile`: only a test that runs from source has to name it. */
export async function rehearse(options: RehearsalOptions, threadFile?: URL): Promise<ToldRehearsal> {
  const { memory, capacities, records } = options.plan;
  const workerDataOf: RehearsalOptions = { ...options, plan: { memory, capacities, records } };
  const thread = new Worker(threadFile ?? new URL("./rehearsal-thread.js", import.meta.url), {
    name: "sapwood-explain",
    workerData: workerDataOf,
  });
  const timer = setTimeout(() => void thread.terminate(), TIME_LIMIT_MS);
  try {
    const message = await new Promise<RehearsalMessage>((resolve) => {
      thread.on("message", resolve);
      thread.on("error", (error) => resolve({ failure: String(error) }));
      thread.on("exit", () => resolve({ failure: `it did not end within ${TIME_LIMIT_MS} ms` }));
    });
    if ("rehearsal" in message) return message.rehearsal;
    throw new SapwoodError("internal", `The packet could not be rehearsed: ${message.failure}.`);
  } finally {
    clearTimeout(timer);
    await thread.terminate();
  }
}
