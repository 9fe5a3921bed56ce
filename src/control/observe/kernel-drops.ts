// What the kernel drops before the data plane sees it: read when somebody asks, since the start of the proxy.

import { readTransmitDrops } from "../../sys/link-drops.ts";
import type { UdpSocket } from "../../sys/udp-socket.ts";

/** The keys are names in `sapwood counters` and in docs/counters.md. */
export type KernelDrops = Readonly<Record<(typeof KERNEL_DROPS)[number], number>>;
export const KERNEL_DROPS = ["udpReceiveDrops", "tunDrops"] as const;

export function readKernelDrops(device: string, sockets: readonly Pick<UdpSocket, "receiveDrops">[]): KernelDrops {
  return {
    udpReceiveDrops: sockets.reduce((sum, socket) => sum + socket.receiveDrops(), 0),
    tunDrops: readTransmitDrops(device),
  };
}
