// The memory of an engine that random traffic goes through: flows end soon, packets wait in little room.
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import type { MemoryOptions } from "../../src/memory/shared-memory.ts";
import type { Random } from "./random.ts";

export function trafficMemory(seed: number, flows: number, random: Random): MemoryOptions {
  return {
    capacities: { flows, addresses: 1024, instances: 1024, workloads: 256, nodes: 64, workers: 1 },
    timeoutsMs: {
      udpUnreplied: 1600,
      udpStream: 4800,
      tcpOpening: 2400,
      tcpEstablished: 10_000,
      tcpHalfClosed: 3200,
      tcpClosed: 400,
    },
    hashSeed: random.u32(),
    answers:
      HeaderLayout.ANSWER_WITH_ICMP |
      HeaderLayout.ANSWER_WITH_RESET |
      HeaderLayout.CLAMP_MSS |
      HeaderLayout.ANSWER_LOST |
      HeaderLayout.ANSWER_LOST_WITH_RESET,
    tunMtu: 1300,
    passiveHealth: { failures: 2, pauseMs: 4000, unansweredMs: 600 },
    park: { timeoutMs: 1500, packets: 6, bytes: 12_000 },
    offloads:
      seed % 2 === 0
        ? HeaderLayout.OFFLOAD_UDP_GSO
        : HeaderLayout.OFFLOAD_UDP_GSO | HeaderLayout.OFFLOAD_TUN_TCP | HeaderLayout.OFFLOAD_TUN_UDP,
  };
}
