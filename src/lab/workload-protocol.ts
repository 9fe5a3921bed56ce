// What the lab's servers and clients say to each other, and what the clients are told and report. PORTs are those of
// the servers in every workload.

/** HTTP over TCP, and an echo over UDP, on the same number. */
export const SERVICE_PORT = 80;
/** TCP: reads to the end, then answers with the SHA-256 of what came, in hex. */
export const SINK_PORT = 81;

/** What a server answers, over HTTP and over UDP. */
export interface WorkloadAnswer {
  readonly instance: string; // as the server was named, say "B 1"
  readonly source: string; // address that the request came from
  readonly sourcePort: number;
  readonly local: string; // address that it came to; empty over UDP
  readonly echo: string; // what the client had sent
}

/** One client socket's calls: a TCP connection that is kept, or a UDP port. */
export interface CallPlan {
  readonly protocol: "http" | "udp";
  readonly address: string;
  readonly sourcePort?: number;
  readonly timeoutMs?: number; // of each HTTP request
}

/** What came of a call: one entry per answer, in their order. */
export interface CallResult {
  readonly instances: readonly string[];
  readonly answeredFrom: readonly string[]; // distinct addresses that the answers came from
  readonly sources: readonly string[]; // distinct "address port" that the server saw
  readonly localPort: number;
  readonly failures: readonly string[];
}

/** What a client does; see workload-client.ts. */
export type Job =
  | { readonly kind: "together"; readonly calls: readonly CallPlan[]; readonly rounds: number }
  | { readonly kind: "connections"; readonly address: string; readonly count: number; readonly concurrency: number }
  | { readonly kind: "send"; readonly address: string; readonly sizeBytes: number }
  | {
      readonly kind: "load";
      readonly addresses: readonly string[];
      readonly held: readonly string[];
      readonly pauseMs?: number; // of each connection between two requests
    };

/** Result of "connections": a new connection per request. */
export interface ConnectionsResult {
  readonly byInstance: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

/** Result of "send". */
export interface SendResult {
  readonly sent: string; // SHA-256, hex
  readonly received: string;
  readonly durationMs: number;
}

/** What "load" prints for each line that it reads: all since the line before. */
export interface LoadReport extends ConnectionsResult {
  readonly held: readonly CallResult[];
}
