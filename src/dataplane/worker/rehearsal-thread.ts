// Entry of the thread in which a packet is rehearsed: copies the memory, plays the packet there, answers, and ends.

import { parentPort, workerData } from "node:worker_threads";
import { reasonOf } from "../../base/errors.ts";
import { copyMemory, openMemory } from "../../memory/memory-copy.ts";
import { Stage } from "./rehearsal.ts";
import type { RehearsalMessage, RehearsalOptions } from "./rehearse.ts";

const port = parentPort;
if (port !== null) {
  const { plan, engine, policies, packet, nowUs } = workerData as RehearsalOptions;
  let message: RehearsalMessage;
  try {
    const { shared, hasWaiting } = copyMemory(openMemory(plan));
    const rehearsal = new Stage({ shared, engine, policies }).play(packet, nowUs);
    message = { rehearsal: { ...rehearsal, hasWaiting } };
  } catch (error) {
    message = { failure: reasonOf(error) };
  }
  port.postMessage(message);
}
