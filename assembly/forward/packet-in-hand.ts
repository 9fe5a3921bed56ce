// The packet that the worker is handling, and its way.

import { workerAt } from "../area/regions.ts";
import { Passage } from "../nat/passage.ts";
import { WORKER_PASSAGE, WORKER_SCRATCH } from "../shared/layout.ts";
import { Packet } from "../wire/packet.ts";

/** One per worker. */
export let packet: Packet = changetype<Packet>(0);
export let passage: Passage = changetype<Passage>(0);

export function attachPacket(): void {
  packet = Packet.at(workerAt + WORKER_SCRATCH);
  passage = Passage.at(workerAt + WORKER_PASSAGE);
}
