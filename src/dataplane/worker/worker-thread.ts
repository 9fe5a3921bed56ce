// One thread of the data plane, from its start through its restarts to its end, on the same descriptors and memory.
// Promises: closes only what it opened (its eventfd, its ring, its thread); nobody waits for a thread that has died.

import type { Worker } from "node:worker_threads";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { SapwoodError } from "../../base/errors.ts";
import { openRing, type RingHandle } from "../../sys/io-uring.ts";
import * as Libc from "../../sys/libc.ts";
import { WakeEvent } from "../../sys/poll.ts";
import { threadCpuMs } from "../../sys/thread-clock.ts";
import type { CaptureOrders } from "../capture/capture-contract.ts";
import { WorkerArea } from "../io/device.ts";
import type { FaultSettings } from "../io/fault-settings.ts";
import { CALL_ENGINE, CALL_SEQUENCE, CALL_SLOT, CALL_THREAD, type PolicyBoard } from "../modules/policy-board.ts";
import type { Gate } from "./gate.ts";
import { type SpareThread, startThread } from "./spare-thread.ts";
import {
  monotonicMs,
  ORDERS_STOP,
  type Order,
  type PolicyModule,
  type WorkerMessage,
  type WorkerOptions,
} from "./worker-contract.ts";
import type { WorkerDeaths } from "./worker-deaths.ts";

/** The descriptors of one worker; they stay open and non-blocking as long as the supervisor is. */
interface WorkerQueue {
  readonly tunFd: number;
  readonly udpFd: number;
}

/** A worker ended without being told to. */
export interface WorkerEnd {
  readonly worker: number;
  readonly error: SapwoodError;
  /** When it is started again; undefined: it failed too often and stays down. */
  readonly restartInMs: number | undefined;
}

export interface WorkerThreadOptions {
  readonly memory: WebAssembly.Memory;
  readonly queues: readonly WorkerQueue[]; // one per worker
  /** What the devices of all workers are told to do wrong; nothing unless given. */
  readonly faults?: FaultSettings | undefined;
  /** Whether workers look on for a while before they sleep, where processors are free; no unless given. */
  readonly lowLatency?: boolean;
  readonly onWorkerEnd: (end: WorkerEnd) => void;
  /** A worker ended by itself. Whether another engine was handed over, with which it starts at once. */
  readonly onEngineFailed?: (error: SapwoodError) => boolean;
  readonly onPolicyFailed?: (slot: number, message: string) => void;
  /** Of the first worker's first start; without it a thread is started. */
  readonly spare?: SpareThread | undefined;
  /** The worker's compiled entry; only a test that runs from source has to name it. */
  readonly workerFile?: URL;
}

const STOP_LIMIT_MS = 1000;
const RESTARTS_PER_MINUTE = 3;
const BACK_OFF_MS = 100; // times four with each restart within the last minute

/** What every worker runs. */
export interface ModuleSet {
  engine: WebAssembly.Module;
  captures: CaptureOrders | undefined;
  readonly policies: Map<number, PolicyModule>; // by slot
}

interface OrderAnswer {
  readonly pauseMs: number;
  readonly refusal: string | undefined;
}

/** Of a worker that is not there: its successor starts with what was ordered. */
const NOBODY: OrderAnswer = { pauseMs: 0, refusal: undefined };

export class WorkerThread {
  readonly #options: WorkerThreadOptions;
  readonly #worker: number;
  readonly #clockOriginMs: number;
  readonly #modules: ModuleSet;
  readonly #board: PolicyBoard;
  readonly #gate: Gate;
  readonly #deaths: WorkerDeaths;
  readonly #call: Int32Array;
  readonly #areaWords: Uint32Array;
  readonly #wake = new WakeEvent();
  #ring: RingHandle | undefined = openRing();
  readonly #orders = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #unanswered = new Map<number, (answer: OrderAnswer) => void>();
  #running: Worker | undefined;
  #loaded: Promise<void> = Promise.resolve(); // or has ended
  #ended: Promise<void> = Promise.resolve();
  #endedFor: { readonly why: SapwoodError; readonly isCured: boolean } | undefined; // what end() was told
  #engine: WebAssembly.Module | undefined; // that the worker surely runs
  #restartTimer: NodeJS.Timeout | undefined;
  #restartsMs: number[] = []; // when, within the last minute

  constructor(
    options: WorkerThreadOptions,
    worker: number,
    clockOriginMs: number,
    modules: ModuleSet,
    board: PolicyBoard,
    gate: Gate,
    deaths: WorkerDeaths,
  ) {
    this.#options = options;
    this.#worker = worker;
    this.#clockOriginMs = clockOriginMs;
    this.#modules = modules;
    this.#board = board;
    this.#gate = gate;
    this.#deaths = deaths;
    this.#call = board.call(worker);
    this.#areaWords = new WorkerArea(options.memory, worker).words;
  }

  /** Odd inside a call of a policy. */
  get policySequence(): number {
    return Atomics.load(this.#call, CALL_SEQUENCE);
  }

  /** Slot of the policy that is called. */
  get calledSlot(): number {
    return Atomics.load(this.#call, CALL_SLOT);
  }

  /** Odd inside a call of the engine. */
  get engineSequence(): number {
    return Atomics.load(this.#call, CALL_ENGINE);
  }

  /** end() was called, and the thread is still there. */
  get isEnding(): boolean {
    return this.#endedFor !== undefined;
  }

  /** Processor time that the worker's thread has had. */
  get cpuMs(): number | undefined {
    const thread = Atomics.load(this.#call, CALL_THREAD);
    return thread === 0 ? undefined : threadCpuMs(thread);
  }

  /** Resolves when the worker is ready; rejects when it ends before, or when the machine has no thread for it. */
  async start(): Promise<void> {
    const spare = this.#worker === 0 ? this.#options.spare?.take() : undefined;
    const running = spare ?? startThread(this.#worker, this.#options.workerFile);
    const options = this.#workerOptions();
    running.postMessage(options);
    this.#running = running;
    this.#engine = options.engine;

    const started = new Promise<void>((resolve, reject) => {
      let isReady = false;
      let error = new SapwoodError("system-call", `Worker ${this.#worker} ended without saying why.`);
      running.on("message", (message: WorkerMessage) => {
        if (message.type === "failed") error = new SapwoodError(message.code, message.message);
        else if (message.type === "obeyed") this.#answered(message.id, message);
        else if (message.type === "policyFailed") this.#options.onPolicyFailed?.(message.slot, message.message);
        else if (message.type === "ready") {
          isReady = true;
          resolve();
        }
      });
      running.on("error", (cause) => {
        error = new SapwoodError("system-call", `Worker ${this.#worker} failed: ${String(cause)}.`, { cause });
      });
      this.#ended = new Promise((ended) => {
        running.on("exit", () => {
          this.#running = undefined;
          this.#leaveCalls();
          for (const id of [...this.#unanswered.keys()]) this.#answered(id, NOBODY);
          ended();
          if (!isReady) reject(this.#endedFor?.why ?? error);
          else if (!this.#isStopping) this.#onEnd(error);
        });
      });
    });
    this.#loaded = started.catch(() => undefined);
    await started;
  }

  #workerOptions(): WorkerOptions {
    const { memory, queues, faults, lowLatency = false } = this.#options;
    const queue = queues[this.#worker];
    if (queue === undefined) throw new RangeError(`worker ${this.#worker} has no queue`);
    return {
      memory,
      worker: this.#worker,
      ...queue,
      wakeFd: this.#wake.fd,
      ring: this.#ring,
      faults,
      lowLatency,
      engine: this.#modules.engine,
      policies: [...this.#modules.policies.values()],
      clockOriginMs: this.#clockOriginMs,
      orders: this.#orders.buffer,
      ordersGiven: Atomics.load(this.#orders, 0),
      gate: this.#gate.buffer,
      board: this.#board.buffer,
      captures: this.#modules.captures,
    };
  }

  /** Resolves when the worker has carried it out, or when there is none that could. */
  give(order: Order, id: number): Promise<OrderAnswer> {
    const running = this.#running;
    if (running === undefined || this.#isStopping) return Promise.resolve(NOBODY);
    return new Promise((answered) => {
      const resolve = (answer: OrderAnswer): void => {
        if (order.kind === "engine" && answer.refusal === undefined) this.#engine = order.module;
        answered(answer);
      };
      this.#unanswered.set(id, resolve);
      running.postMessage({ ...order, id });
      Atomics.add(this.#orders, 0, 1);
      this.#wake.wake();
    });
  }

  /** Whether the worker has not got to one of these orders. */
  waitsFor(ids: ReadonlySet<number>): boolean {
    return [...this.#unanswered.keys()].some((id) => ids.has(id));
  }

  /** Ends the worker wherever it is, and starts it again: at once if what made it hang was replaced. */
  end(why: SapwoodError, isCured: boolean): void {
    this.#endedFor = { why, isCured };
    void this.#running?.terminate();
  }

  async close(): Promise<void> {
    clearTimeout(this.#restartTimer);
    Atomics.store(this.#orders, 0, ORDERS_STOP);
    this.#wake.wake();
    const running = this.#running;
    if (running !== undefined) {
      // A policy module that does not return holds the thread; only termination ends it. A thread that is ended while it
      // loads native functions would abort the process.
      let timer: NodeJS.Timeout | undefined;
      void this.#loaded.then(() => {
        timer = setTimeout(() => void running.terminate(), STOP_LIMIT_MS).unref();
      });
      await this.#ended;
      clearTimeout(timer);
    }
    this.#wake.close();
    if (this.#ring !== undefined) Libc.close(this.#ring.fd);
    this.#ring = undefined;
  }

  get #isStopping(): boolean {
    return Atomics.load(this.#orders, 0) === ORDERS_STOP;
  }

  #answered(id: number, answer: OrderAnswer): void {
    this.#unanswered.get(id)?.(answer);
    this.#unanswered.delete(id);
  }

  /** A thread that died inside the engine is in no generation any more: nobody must wait for it. */
  #leaveCalls(): void {
    const sequence = Atomics.load(this.#areaWords, WorkerLayout.SEQUENCE >> 2);
    const wasInside = sequence % 2 === 1;
    if (wasInside) Atomics.store(this.#areaWords, WorkerLayout.SEQUENCE >> 2, sequence + 1);
    this.#deaths.note(this.#worker, wasInside);
    if (this.engineSequence % 2 !== 0) Atomics.add(this.#call, CALL_ENGINE, 1);
    if (this.policySequence % 2 !== 0) Atomics.add(this.#call, CALL_SEQUENCE, 1);
    Atomics.store(this.#call, CALL_THREAD, 0);
  }

  #onEnd(found: SapwoodError): void {
    const ended = this.#endedFor;
    this.#endedFor = undefined;
    const error = ended?.why ?? found;
    const isCured =
      ended?.isCured === true ||
      this.#engine !== this.#modules.engine || // it was just being replaced
      (ended === undefined && this.#options.onEngineFailed?.(error) === true);
    if (isCured) {
      this.#options.onWorkerEnd({ worker: this.#worker, error, restartInMs: 0 });
      this.#startAgain();
    } else this.#restartLater(error);
  }

  #startAgain(): void {
    this.start().catch((failure: SapwoodError) => {
      // A worker that does not become ready has ended as well, and counts as another failure.
      if (!this.#isStopping) this.#onEnd(failure);
    });
  }

  #restartLater(error: SapwoodError): void {
    const nowMs = monotonicMs();
    this.#restartsMs = this.#restartsMs.filter((restartMs) => nowMs - restartMs < 60_000);
    const recent = this.#restartsMs.length;
    const restartInMs = recent < RESTARTS_PER_MINUTE ? BACK_OFF_MS * 4 ** recent : undefined;
    if (restartInMs !== undefined) {
      this.#restartsMs.push(nowMs);
      this.#restartTimer = setTimeout(() => this.#startAgain(), restartInMs);
    }
    this.#options.onWorkerEnd({ worker: this.#worker, error, restartInMs });
  }
}
