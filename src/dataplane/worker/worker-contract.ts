// What the supervisor and a data-plane thread say to each other, and the clock that they share.

import type { ErrorCode } from "../../base/errors.ts";
import type { RingHandle } from "../../sys/io-uring.ts";
import type { CaptureOrders } from "../capture/capture-contract.ts";
import type { FaultSettings } from "../io/fault-settings.ts";

export interface PolicyModule {
  readonly slot: number;
  readonly name: string;
  readonly module: WebAssembly.Module;
}

/** Puts a policy in force; without a module the engine chooses by itself. */
export interface PolicyOrder {
  readonly kind: "policy";
  readonly slot: number;
  readonly name: string;
  readonly module: WebAssembly.Module | undefined;
}

interface EngineOrder {
  readonly kind: "engine";
  readonly module: WebAssembly.Module;
}

/** Captures packets, in the place of what was captured before. */
interface CaptureOrder {
  readonly kind: "capture";
  /** Undefined: nothing is. */
  readonly captures: CaptureOrders | undefined;
}

/** Leaves the descriptors alone from now on, as long as the gate is shut. */
interface HoldOrder {
  readonly kind: "hold";
}

/** What a running worker is told to do, between two breaths. */
export type Order = PolicyOrder | EngineOrder | CaptureOrder | HoldOrder;
export type NumberedOrder = Order & { readonly id: number };

export interface WorkerOptions {
  readonly memory: WebAssembly.Memory;
  readonly worker: number; // index of the worker area
  readonly tunFd: number;
  readonly udpFd: number;
  readonly wakeFd: number; // eventfd
  readonly ring: RingHandle | undefined; // for writes to the TUN, where the kernel has one
  readonly faults: FaultSettings | undefined; // what its devices are told to do wrong
  readonly lowLatency: boolean; // Spin
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
  readonly clockOriginMs: number; // monotonicMs() of the supervisor: time 0 of every worker
  readonly orders: SharedArrayBuffer; // one i32: how many orders were given, ORDERS_STOP = return
  readonly ordersGiven: number; // those that `engine`, `policies` and `captures` include
  readonly gate: SharedArrayBuffer; // Gate
  readonly board: SharedArrayBuffer; // PolicyBoard
  readonly captures: CaptureOrders | undefined;
}

export const ORDERS_STOP = -1;

export type WorkerMessage =
  | { readonly type: "ready" }
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly code: ErrorCode; readonly message: string }
  /** `pauseMs`: how long no packet was handled for it. With a refusal all is as it was. */
  | { readonly type: "obeyed"; readonly id: number; readonly pauseMs: number; readonly refusal: string | undefined }
  /** Told at most once a second and policy. */
  | { readonly type: "policyFailed"; readonly slot: number; readonly message: string };

/** Milliseconds of the machine's monotonic clock: of one origin in all threads, unlike performance.now(). */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
