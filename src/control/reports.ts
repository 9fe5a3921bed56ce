// What the control socket answers: the shapes behind `--json`, described in docs/control-api.md.
// Addresses are canonical text; a family that an instance lacks is absent from its list.

import type { FlowProtocol } from "../flow-protocols.ts";

/** The body of every answer that is not 200. */
export interface ErrorReport {
  readonly error: ErrorBody;
}

export interface ErrorBody {
  readonly code: string; // errors.ts
  readonly message: string; // one sentence
}

export interface StatusReport {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly generation: number;
  /** Undefined as long as nothing was changed since the start. */
  readonly lastReload?: ReloadReport | undefined;
  readonly workers: readonly WorkerReport[];
  readonly tun: { readonly name: string; readonly mtu: number; readonly queues: number };
  readonly tunnel: { readonly address: string; readonly port: number };
  readonly offloads: readonly OffloadReport[];
  readonly flows: UsageReport;
  readonly tables: Readonly<Record<string, UsageReport>>;
  readonly memory: { readonly rssBytes: number; readonly sharedBytes: number };
}

/** The outcome of the last attempt to change the running tables. */
export interface ReloadReport {
  readonly at: string; // ISO 8601
  readonly source: string; // a file, or "control socket"
  readonly ok: boolean;
  readonly generation: number; // in force afterwards
  readonly error?: ErrorBody | undefined;
  /** Settings that changed in the file and that take effect at the next start only. */
  readonly needRestart: readonly string[];
}

export interface WorkerReport {
  readonly index: number;
  readonly restarts: number;
}

export interface OffloadReport {
  readonly name: string;
  readonly on: boolean;
  readonly reason: string;
}

export interface UsageReport {
  readonly used: number;
  readonly limit: number;
}

/** One service address. */
export interface ServiceAddressReport {
  readonly service: string;
  readonly address: string;
  readonly policy: string;
  readonly candidates: number;
  readonly draining: number; // of the candidates
}

export interface InstanceReport {
  readonly service: string;
  readonly number: number;
  readonly node: string;
  readonly isLocal: boolean;
  readonly namespaceAddresses: readonly string[];
  readonly instanceAddresses: readonly string[];
  readonly weight: number;
  readonly draining: boolean;
  readonly flows: number; // of this node's clients to a service address, served by the instance now
}

export interface NodeReport {
  readonly id: string;
  readonly isLocal: boolean;
  readonly underlay: { readonly address: string; readonly port: number };
  readonly rttMs: number | null; // null = not measured
  readonly distanceKm: number | null; // null = a location is missing
  readonly lastReplyAgeMs: number | null; // null = it never answered a probe
  readonly instances: number;
}

export interface FlowReport {
  readonly protocol: string; // "tcp", "udp", "icmp", or the number of another one
  readonly client: string;
  readonly clientPort: number; // of an echo its identifier; 0 = the protocol has no ports
  readonly called: string;
  readonly calledPort: number;
  readonly service: string | null; // null = its instance is no longer in the tables
  readonly instance: number | null;
  readonly node: string | null;
  readonly state: string;
  readonly idleMs: number;
  readonly forwardPackets: number;
  readonly reversePackets: number;
}

export interface FlowsReport {
  readonly matching: number; // flows that the query selects
  readonly flows: readonly FlowReport[]; // the first of them
}

export interface FlowQuery {
  readonly limit: number;
  readonly service?: string | undefined;
  readonly protocol?: FlowProtocol | undefined;
}

/** Summed over workers; every counter, also those at 0. */
export interface CountersReport {
  readonly counters: Readonly<Record<string, number>>;
  readonly drops: Readonly<Record<DropDirection, Readonly<Record<string, number>>>>;
  /** What the kernel dropped before the data plane saw it. */
  readonly kernel: Readonly<Record<string, number>>;
}
export type DropDirection = "egress" | "ingress";

/** The body of POST /v1/offloads. */
export interface OffloadOrder {
  readonly name: string;
  readonly on: boolean;
}

export interface AppliedReport {
  readonly generation: number;
  readonly nodes: number;
  readonly services: number;
  readonly instances: number;
}
