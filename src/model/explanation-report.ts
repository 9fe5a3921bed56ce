// What the control socket answers about a packet that nobody sent, as reports.ts.

import * as z from "zod";
import { count, list, report } from "./report-schema.ts";

const packetAddresses = { source: z.string(), destination: z.string() };

/** What would happen to a packet. */
export const ExplanationReport = report("ExplanationReport", {
  packet: z
    .object({
      ...{ protocol: z.string(), ...packetAddresses },
      ...{ sourcePort: count.nullable(), destinationPort: count.nullable() },
    })
    .readonly(),
  verdict: z
    .enum(["sent", "delivered", "dropped", "waits", "nothing"])
    .describe("to a node; into the TUN; see `drop`; until its address is known"),
  drop: z
    .object({ reason: z.string(), meaning: z.string().nullable(), advice: z.string().nullable() })
    .readonly()
    .nullable(),
  flow: z.enum(["known", "opened", "none"]),
  choice: z
    .object({
      service: z.string().nullable(),
      policy: z.string().nullable().describe("null = the engine chose by itself"),
      candidates: list(
        z
          .object({
            ...{ instance: count, node: z.string().nullable(), weight: count, flows: count },
            ...{ rttMs: z.number().nullable(), distanceKm: z.number().nullable() },
            ...{ isLocal: z.boolean(), isDraining: z.boolean(), isHealthy: z.boolean() },
            ...{ hasIpv4: z.boolean(), hasIpv6: z.boolean(), isOwnFamily: z.boolean(), isChosen: z.boolean() },
          })
          .readonly(),
      ).describe("with the numbers that the policy saw"),
    })
    .readonly()
    .nullable()
    .describe("null = no policy was asked"),
  sent: list(
    z
      .object({
        ...packetAddresses,
        ...{ node: z.string().nullable(), address: z.string(), port: count, mtu: count.nullable() },
      })
      .readonly(),
  ).describe("to nodes, with the addresses inside; `mtu` null = no limit was met"),
  written: list(z.object(packetAddresses).readonly()).describe("into the TUN: to a workload, or an ICMP error back"),
  counters: z.record(z.string(), z.number()).describe("what would be counted"),
});
export type ExplanationReport = z.infer<typeof ExplanationReport>;
