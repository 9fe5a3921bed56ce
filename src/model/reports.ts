// What the control socket answers: the shapes behind `--json`, described in docs/control-api.md.
// Addresses are canonical text; a family that an instance lacks is absent from its list.

import type { ErrorDetail } from "../base/errors.ts";
import type { FlowProtocol } from "./flow-protocols.ts";
import type { Encryption } from "./tables.ts";

/** The body of every answer that is not 200. */
export interface ErrorReport {
  readonly error: ErrorBody;
}

export interface ErrorBody {
  readonly code: string; // errors.ts
  readonly message: string; // one sentence, or one line per detail
  readonly details: readonly ErrorDetail[]; // the single faults, where there may be several
}

export interface StatusReport {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly generation: number;
  readonly config: ConfigReport;
  /** Undefined as long as nothing was changed since the start. */
  readonly lastReload?: ReloadReport | undefined;
  readonly workers: readonly WorkerReport[];
  readonly tun: { readonly name: string; readonly mtu: number; readonly queues: number };
  readonly tunnel: { readonly address: string; readonly port: number; readonly encryption: Encryption };
  readonly network: NetworkReport;
  readonly offloads: readonly OffloadReport[];
  readonly flows: UsageReport;
  readonly tables: Readonly<Record<string, UsageReport>>;
  readonly memory: { readonly rssBytes: number; readonly sharedBytes: number };
  /** Lines of the log that could not be written. */
  readonly lostLogLines: number;
}

/** Whether changes of the configuration file have an effect. */
export interface ConfigReport {
  readonly file: string; // absolute
  readonly isFollowed: boolean;
  readonly problem?: string | undefined; // why not, or why changes are seen late
}

/** What the kernel shows of the TUN, and what was done to keep it so. */
export interface NetworkReport {
  readonly isUp: boolean;
  readonly routes: readonly string[]; // service ranges that are routed into the TUN
  readonly problems: readonly string[]; // sentences
  readonly repairs: number; // how many times something was put back since the start
  readonly lastRepair?: { readonly at: string; readonly what: readonly string[] } | undefined; // ISO 8601
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

/** "unknown": it never answered a probe. "lost": it did, and does not any more. */
export type NodeStateName = "unknown" | "reachable" | "lost";

export interface NodeReport {
  readonly id: string;
  readonly isLocal: boolean;
  readonly underlay: { readonly address: string; readonly port: number };
  readonly encryption: Encryption; // of the way to it
  readonly publicKey: string | null; // WireGuard's; null = none is known
  readonly state: NodeStateName;
  readonly stateAgeMs: number | null; // since it is so; null = from the start
  readonly rttMs: number | null; // null = not measured
  readonly distanceKm: number | null; // null = a location is missing
  readonly lastReplyAgeMs: number | null; // null = it never answered a probe
  readonly mtu: number | null; // largest packet that fits the path in one piece, as probes proved; null = no limit was met
  readonly instances: number;
}

/** Who this node is in the encrypted underlay. */
export interface KeyReport {
  readonly publicKey: string; // base64, as `wg pubkey` writes it
  readonly nextPublicKey: string | null; // of the key that is to replace it; null = there is none
  readonly address: string; // inside, derived from the public key
  readonly device: string; // the WireGuard interface
  readonly port: number; // UDP
  readonly backend: "kernel" | "wireguard-go";
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

/** A service address that workloads call and the tables do not hold. */
export interface QuestionReport {
  readonly address: string;
  readonly ageMs: number; // since the first of the packets that wait
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

/** A WebAssembly module and where it came from. */
export interface ModuleReport {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly source: string; // "built-in", a file, or "control socket"
  readonly loadedAt: string; // ISO 8601
}

/** How the module in force was handed to the workers. */
export interface SwapReport {
  readonly tookMs: number; // until all workers had it
  readonly pauseMs: number; // how long a worker handled no packets for it, at most
}

export interface FaultReport {
  readonly at: string; // ISO 8601
  readonly message: string;
}

/** How often a policy failed to choose, by kind. */
export interface PolicyFaultCounts {
  readonly declined: number; // -1, although a candidate could take the flow
  readonly outOfRange: number;
  readonly traps: number;
  readonly refusals: number; // it did not take the candidates
  readonly unprepared: number; // not asked, because it had not taken the candidates
  readonly overdue: number; // it did not return
  readonly greedy: number; // it took most of what was too much of a worker's time
}

export type PolicyStateName = "in force" | "faulty" | "no module";

export interface PolicyReport {
  readonly name: string;
  readonly state: PolicyStateName;
  readonly module: ModuleReport | null;
  readonly previous: ModuleReport | null; // what a rollback leads to
  readonly addresses: number; // bound to it
  readonly choices: number; // since the module is in force, over all workers
  readonly choiceUs: number | null; // mean of those that were timed; null = none was
  readonly faults: PolicyFaultCounts;
  readonly lastError: FaultReport | null;
}

export interface PolicyDetailReport extends PolicyReport {
  readonly swap: SwapReport | null; // null = it was there from the start
  readonly file: string | null; // under `policies`: a change of it takes the place of what a command loaded
  readonly shares: readonly AddressShareReport[];
}

/** Live flows of this node's clients to one address, by instance. */
export interface AddressShareReport {
  readonly service: string;
  readonly address: string;
  readonly flows: number;
  readonly instances: readonly { readonly number: number; readonly node: string; readonly flows: number }[];
}

/** The next flows as they would be spread now and with the module that is tried. */
export interface DryRunReport {
  readonly policy: string;
  readonly sha256: string;
  readonly flows: number; // per address
  readonly addresses: readonly AddressSpreadReport[];
}

export interface AddressSpreadReport {
  readonly service: string;
  readonly address: string;
  /** `now` is null as long as the policy has no module. */
  readonly instances: readonly {
    readonly number: number;
    readonly node: string;
    readonly now: number | null;
    readonly after: number;
  }[];
  /** Left to the engine. */
  readonly none: { readonly now: number | null; readonly after: number };
}

export interface EngineReport {
  readonly layoutVersion: number;
  readonly module: ModuleReport;
  readonly previous: ModuleReport | null;
  readonly swap: SwapReport | null;
  readonly lastError: FaultReport | null;
}
