// What the measuring tools (programs of their own, in the workloads) print, one JSON line each.

/** The port of the tools' servers. */
export const TOOL_PORT = 7007;

/** Printed by a server that listens. */
export const LISTENING = "listening\n";

/** flood-sender: over its whole life. */
export interface FloodSent {
  readonly packetsPerSecond: number;
}

/** flood-receiver: over its window. */
export interface FloodReceived {
  readonly packets: number;
  readonly seconds: number;
  readonly busySeconds: number; // of all processors of the machine
}

/** echo-client. */
export interface EchoResult {
  readonly roundTrips: number;
  readonly lost: number; // no answer within the time-out
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

/** connection-client: over its whole life. */
export interface ConnectionsMade {
  readonly connections: number;
  readonly failed: number;
  readonly seconds: number;
}
