// The packets in what an engine sent and wrote.

import * as Virtio from "../../assembly/shared/virtio.ts";
import type { Result } from "./engine-result.ts";
import { nth } from "./given.ts";

/** The packet in a datagram that was sent to another node, the first one unless an index from 0 says another. */
export function sentPacket({ datagrams }: Pick<Result, "datagrams">, index = 0): Uint8Array {
  return nth(datagrams, index).bytes;
}

/** The packet in what was written to the TUN, the first one unless an index from 0 says another. */
export function writtenPacket({ tunWrites }: Pick<Result, "tunWrites">, index = 0): Uint8Array {
  return packetIn(nth(tunWrites, index));
}

/** A frame of the TUN without the virtio_net_hdr in front. */
export function packetIn(frame: Uint8Array | undefined): Uint8Array {
  if (frame === undefined) throw new Error("expected a frame of the TUN, found none");
  return frame.subarray(Virtio.SIZE);
}
