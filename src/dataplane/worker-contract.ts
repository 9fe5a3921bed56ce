// What the supervisor and a data-plane thread say to each other, and the clock that they share.

import type { ErrorCode } from "../errors.ts";

export interface PolicyModule {
  readonly slot: number;
  readonly name: string;
  readonly module: WebAssembly.Module;
}

export interface WorkerOptions {
  readonly memory: WebAssembly.Memory;
  readonly worker: number; // index of the worker area
  readonly tunFd: number;
  readonly udpFd: number;
  readonly wakeFd: number; // eventfd
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
  readonly clockOriginMs: number; // monotonicMs() of the supervisor: time 0 of every worker
  readonly stop: SharedArrayBuffer; // one i32: not 0 = return
}

export type WorkerMessage =
  | { readonly type: "ready" }
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly code: ErrorCode; readonly message: string };

/** Milliseconds of the machine's monotonic clock: of one origin in all threads, unlike performance.now(). */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
