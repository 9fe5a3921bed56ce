// What a replay of a capture found.

import type { ExplanationReport } from "./explanation-report.ts";

/** What happened to packets that came in by one interface. */
interface VerdictCount {
  readonly interface: "tun" | "tunnel";
  readonly verdict: string; // "sent", "dropped" ...: a key of Verdict
  readonly reason: string | null; // of a drop
  readonly packets: number;
}

/** New flows that an instance got. */
interface ChoiceCount {
  readonly service: string;
  readonly instance: number;
  readonly flows: number;
}

/** What one set of modules did with the packets. */
export interface ReplaySideReport {
  readonly engine: string; // where it is from
  readonly policies: Readonly<Record<string, string>>; // by name, where each is from
  readonly verdicts: readonly VerdictCount[];
  readonly choices: readonly ChoiceCount[];
}

export const DIFFERENT_PARTS = ["verdict", "reason", "service", "instance", "bytes"] as const;
export type DifferentPart = (typeof DIFFERENT_PARTS)[number];

/** What happened to one packet, and what left the node for it. */
export interface PacketResult {
  readonly said: string; // as the comment of a captured packet
  readonly left: readonly string[]; // "192.0.2.2 port 50103, 84 bytes", "TUN, 84 bytes" ...
  readonly explanation: ExplanationReport;
}

/** A packet with two results. */
export interface PacketDifference {
  readonly packet: number; // in the file, from 1
  readonly time: string; // ISO 8601
  readonly interface: "tun" | "tunnel";
  readonly what: readonly DifferentPart[];
  readonly results: readonly [PacketResult, PacketResult];
}

/** A packet that was recorded with another verdict. */
export interface RecordedDifference {
  readonly packet: number;
  readonly recorded: string;
  readonly replayed: string;
}

/** Why packets of the file are not given to an engine. */
export const NOT_REPLAYED = [
  "outbound", // left the node: what the engine does is compared with it, not given to it
  "answers", // to probes that the replayed node did not send
  "snapped", // the capture has only their beginning
  "malformed", // no datagram of the tunnel, more bytes than a packet has, or a time that is none
  "undirected", // the file does not say whether they came or went
  "foreign", // of other interfaces than "tun" and "tunnel"
] as const;
export type NotReplayed = (typeof NOT_REPLAYED)[number];

export interface ReplayReport {
  readonly packets: number; // in the file
  readonly replayed: number;
  readonly notReplayed: Readonly<Record<NotReplayed, number>>;
  /** How what was recorded compares with what the first side did. */
  readonly recorded: {
    readonly equal: number;
    /** The same verdict and reason for the packet, of a flow of another instance or of none that is known. */
    readonly otherInstance: number;
    /** Another verdict or reason. */
    readonly different: number;
    readonly untold: number;
    /** Services that the recording node had and the configuration has not. */
    readonly unknownServices: readonly string[];
    readonly first: readonly RecordedDifference[]; // of those with another verdict or reason
  };
  /** What is configured and, if it is to be compared with others, what it is compared with. */
  readonly sides: readonly ReplaySideReport[];
  /** Null: there is one side only. */
  readonly differences: { readonly packets: number; readonly first: readonly PacketDifference[] } | null;
}
