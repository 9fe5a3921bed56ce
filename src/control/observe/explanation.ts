// Says in names and words what came of a packet that an engine was given: verdict, drop reason and what to do about it,
// candidates with the numbers that the policy saw, and where it went.

import * as Protocol from "../../../assembly/shared/protocol.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import { packetKey } from "../../dataplane/capture/packet-match.ts";
import type { Rehearsal } from "../../dataplane/worker/rehearsal.ts";
import type { ExplanationReport } from "../../model/explanation-report.ts";
import type { Service } from "../../model/tables.ts";
import { textOfKey } from "../../net/address-key.ts";
import { counterText } from "./counter-texts.ts";

/** What the numbers of a rehearsal stand for. */
export interface ExplanationNames {
  readonly services: readonly Service[];
  /** The module of a slot; null: it has none. */
  readonly policyOf: (slot: number) => string | null;
  readonly nodeAt: (address: string, port: number) => { readonly node: string | null; readonly mtu: number | null };
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  [Protocol.ICMP]: "icmp",
  [Protocol.ICMPV6]: "icmp",
  [Protocol.TCP]: "tcp",
  [Protocol.UDP]: "udp",
};
const NO_PACKET: ExplanationReport["packet"] = {
  ...{ protocol: "unknown", source: "unknown", sourcePort: null, destination: "unknown", destinationPort: null },
};

/** `packet` is as it came. */
export function explanationOf(
  packet: ExplanationReport["packet"],
  rehearsal: Rehearsal,
  names: ExplanationNames,
): ExplanationReport {
  const { drops, counts, choice, sent, written } = rehearsal;
  const [reason] = Object.keys(drops);
  return {
    packet,
    verdict: verdictOf(rehearsal, reason),
    drop: reason === undefined ? null : { reason, ...wordsOf(reason) },
    flow: flowOf(counts, reason),
    choice: choice === null ? null : choiceOf(choice, packet.destination, names),
    sent: sent.map(({ address, port, packets }) => ({
      ...addressesOf(Buffer.from(packets, "hex")),
      ...names.nodeAt(address, port),
      address,
      port,
    })),
    written: written.map((frame) => addressesOf(Buffer.from(frame, "hex").subarray(Virtio.SIZE))),
    counters: counts,
  };
}

/** The addresses of an IP packet; "unknown" for anything else. */
export function packetEnds(packet: Uint8Array): ExplanationReport["packet"] {
  const key = packetKey(packet, packet.length);
  if (key === undefined) return NO_PACKET;
  const port = (number: number): number | null => (number < 0 ? null : number);
  return {
    protocol: PROTOCOL_NAMES[key.protocol] ?? `protocol ${key.protocol}`,
    source: textOfKey(key.source),
    sourcePort: port(key.sourcePort),
    destination: textOfKey(key.destination),
    destinationPort: port(key.destinationPort),
  };
}

function verdictOf({ sent, written, counts }: Rehearsal, reason: string | undefined): ExplanationReport["verdict"] {
  if (reason !== undefined) return "dropped";
  if (sent.length > 0) return "sent";
  if (written.length > 0) return "delivered";
  return (counts.packetsParked ?? 0) > 0 ? "waits" : "nothing";
}

function flowOf(counts: Rehearsal["counts"], reason: string | undefined): ExplanationReport["flow"] {
  if ((counts.flowsOpened ?? 0) > 0) return "opened";
  return reason === undefined ? "known" : "none";
}

function wordsOf(reason: string): { readonly meaning: string | null; readonly advice: string | null } {
  const { meaning, advice } = counterText(reason) ?? {};
  return { meaning: meaning ?? null, advice: advice || null };
}

function choiceOf(
  { slot, candidates, choice }: NonNullable<Rehearsal["choice"]>,
  called: string,
  { services, policyOf }: ExplanationNames,
): NonNullable<ExplanationReport["choice"]> {
  const service = services.find(({ addresses }) => addresses.some(({ address }) => address === called));
  const nodeOf = new Map(service?.instances.map(({ number, node }) => [number, node]));
  return {
    service: service?.name ?? null,
    policy: policyOf(slot),
    candidates: candidates.map(({ rttUs, distanceKm, ...candidate }, index) => ({
      ...candidate,
      node: nodeOf.get(candidate.instance) ?? null,
      rttMs: rttUs === 0 ? null : rttUs / 1000,
      distanceKm: Number.isNaN(distanceKm) ? null : distanceKm,
      isChosen: index === choice,
    })),
  };
}

function addressesOf(packet: Uint8Array): { readonly source: string; readonly destination: string } {
  const { source, destination } = packetEnds(packet);
  return { source, destination };
}
