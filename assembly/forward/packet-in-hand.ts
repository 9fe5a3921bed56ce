// The packet that the worker is handling, and its way.

import { workerAt } from "../area/regions.ts";
import { startNote } from "../area/verdict-notes.ts";
import { Passage } from "../nat/passage.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import { Packet } from "../wire/packet.ts";

/** One per worker. */
export let packet: Packet = changetype<Packet>(0);
export let passage: Passage = changetype<Passage>(0);

export function attachPacket(): void {
  packet = Packet.at(workerAt + WorkerLayout.SCRATCH);
  passage = Passage.at(workerAt + WorkerLayout.PASSAGE);
}

/** To be called before a packet is handled, as long as verdicts are noted. */
export function startPacketNote(): void {
  passage.flow = 0;
  startNote();
}
