// The packet that the worker is handling.

import { workerAt } from "../area/regions.ts";
import { WORKER_SCRATCH } from "../shared/layout.ts";
import { Packet } from "../wire/packet.ts";

/** One per worker. */
export let packet: Packet = changetype<Packet>(0);

export function attachPacket(): void {
  packet = Packet.at(workerAt + WORKER_SCRATCH);
}
