// What the live page is told: events of its stream, as JSON. The page and the proxy that shows it are always of the
// same version, so nothing here is kept for older ones.

import type { FlowReport } from "./reports.ts";

/** How a node, or a thing of it, is doing. */
export type Mood = "well" | "warning" | "bad";

/** The parts of the page that a client can look at, one at a time. */
export const PAGE_VIEWS = ["overview", "services", "flows", "nodes", "policies", "drops", "events"] as const;
export type PageView = (typeof PAGE_VIEWS)[number];

/** How services are ordered. */
export const SERVICE_ORDERS = ["name", "flows"] as const;
type ServiceOrder = (typeof SERVICE_ORDERS)[number];

/** What a client looks at. */
export interface PageQuery {
  readonly view: PageView;
  readonly filter: string;
  readonly offset: number;
  readonly order: ServiceOrder;
}

/** Why the headline is what it is. */
export interface HeadlineReason {
  readonly mood: Mood;
  readonly text: string; // one sentence
  readonly view: PageView; // where there is more about it
}

export interface Headline {
  readonly mood: Mood;
  readonly reasons: readonly HeadlineReason[]; // the worst first; none when all is well
}

/** What passed in a second, on average since the sample before. Null: nobody looked in the time before it. */
export interface PageSample {
  readonly at: number; // milliseconds of the epoch
  readonly rates: PageRates | null;
  readonly flows: number;
}

export interface PageRates {
  readonly egressBytes: number;
  readonly ingressBytes: number;
  readonly localBytes: number;
  readonly egressPackets: number;
  readonly ingressPackets: number;
  readonly localPackets: number;
  readonly drops: number; // packets
  readonly flowsOpened: number;
}

/** The same for all clients, with every tick. */
export interface PageOverview {
  readonly node: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly generation: number;
  readonly headline: Headline;
  readonly sample: PageSample;
  readonly flowsLimit: number;
  readonly services: number;
  readonly instances: number;
  readonly nodes: { readonly reachable: number; readonly lost: number; readonly unknown: number };
  /** Whether orders are taken, because the listener asks for a token. */
  readonly takesOrders: boolean;
}

export interface PageNode {
  readonly id: string;
  readonly isLocal: boolean;
  readonly state: "unknown" | "reachable" | "lost";
  readonly stateAgeMs: number | null;
  readonly rttMs: number | null;
  readonly loss: number | null; // part of the last probes
  readonly mtu: number | null;
  readonly distanceKm: number | null;
  readonly address: string;
  readonly port: number;
  readonly encryption: string;
  readonly instances: number;
  readonly draining: number; // of the instances
  readonly flows: number; // of this node's clients to it, in the flow table
  readonly packets: number | null; // of these flows in a second, both ways; null = not measured yet
}

/** The share of an instance in the flows of this node's clients. */
export interface PageShare {
  readonly number: number;
  readonly node: string;
  readonly state: PageNode["state"]; // of the node
  readonly draining: boolean;
  readonly health: "unchecked" | "unknown" | "healthy" | "avoided" | "unhealthy";
  readonly healthReason: string | null; // why the last check failed
  readonly weight: number;
  readonly flows: number; // live ones
  readonly ended: number; // those that are over, and still in the table
}

export interface PageService {
  readonly name: string;
  readonly addresses: readonly { readonly address: string; readonly policy: string }[];
  readonly instances: readonly PageShare[]; // those with most flows, in the order of their numbers
  readonly others: number; // instances beyond those
  readonly flows: number;
  readonly ended: number;
}

export interface PageModule {
  readonly sha256: string;
  readonly source: string;
  readonly loadedAt: string;
}

/** Flows to one address by instance, as a policy spread them. */
export interface PageSpread {
  readonly service: string;
  readonly address: string;
  readonly flows: number;
  readonly instances: readonly { readonly number: number; readonly node: string; readonly flows: number }[];
}

export interface PagePolicy {
  readonly name: string;
  readonly state: "in force" | "faulty" | "no module";
  readonly module: PageModule | null;
  readonly previous: PageModule | null;
  readonly addresses: number;
  readonly choices: number;
  readonly choiceUs: number | null;
  readonly faults: number;
  readonly lastError: string | null;
  readonly spread: readonly PageSpread[]; // of the addresses with most flows
}

export interface PageDrop {
  readonly reason: string;
  readonly direction: "egress" | "ingress" | "kernel";
  readonly packets: number; // since the start
  readonly perSecond: number;
  readonly meaning: string;
  readonly advice: string;
}

export interface PageEvent {
  readonly id: number;
  readonly at: string;
  readonly kind: string;
  readonly message: string;
  readonly advice: string | null;
}

/** A part of a list that is longer than what is shown. */
export interface PageRows<Row> {
  readonly rows: readonly Row[];
  readonly matching: number;
  readonly offset: number;
}

/** What a client looks at, with every tick. Of a list only a page is sent. */
export type PageViewReport =
  | {
      readonly view: "overview";
      readonly nodes: PageRows<PageNode>;
      readonly services: PageRows<PageService>;
      readonly policies: readonly PagePolicy[];
      readonly drops: readonly PageDrop[];
      readonly events: readonly PageEvent[];
    }
  | ({ readonly view: "services" } & PageRows<PageService>)
  | ({ readonly view: "flows"; readonly passMs: number } & PageRows<FlowReport>)
  | ({ readonly view: "nodes" } & PageRows<PageNode>)
  | { readonly view: "policies"; readonly rows: readonly PagePolicy[] }
  | { readonly view: "drops"; readonly rows: readonly PageDrop[] }
  | { readonly view: "events"; readonly rows: readonly PageEvent[] };
