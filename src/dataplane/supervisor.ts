// Starts the data-plane threads, stops them, and restarts one that ended by itself on the same descriptors and memory.
// Promises: closes only what it opened (eventfds, threads); after close() no thread touches memory or descriptors.

import { Worker } from "node:worker_threads";
import { WORKER_SEQUENCE } from "../../assembly/shared/layout.ts";
import { SapwoodError } from "../errors.ts";
import { WakeEvent } from "../sys/poll.ts";
import { WorkerArea } from "./device.ts";
import { monotonicMs, type PolicyModule, type WorkerMessage, type WorkerOptions } from "./worker-contract.ts";

/** The descriptors of one worker; they stay open and non-blocking as long as the supervisor is. */
export interface WorkerQueue {
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

export interface SupervisorOptions {
  readonly memory: WebAssembly.Memory;
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
  readonly queues: readonly WorkerQueue[]; // one per worker
  readonly onWorkerEnd: (end: WorkerEnd) => void;
  /** The worker's compiled entry; only a test that runs from source has to name it. */
  readonly workerFile?: URL;
}

const STOP_LIMIT_MS = 1000;
const RESTARTS_PER_MINUTE = 3;
const BACK_OFF_MS = 100; // times four with each restart within the last minute

/** Starts all workers and watches them. */
export class Supervisor {
  readonly #threads: readonly Thread[];
  readonly #clockOriginMs: number;

  private constructor(threads: readonly Thread[], clockOriginMs: number) {
    this.#threads = threads;
    this.#clockOriginMs = clockOriginMs;
  }

  /** Resolves when every worker reads its queue. When one cannot, the others are stopped, and its error is thrown. */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const clockOriginMs = monotonicMs();
    const threads = options.queues.map((_, worker) => new Thread(options, worker, clockOriginMs));
    const supervisor = new Supervisor(threads, clockOriginMs);
    const starts = await Promise.allSettled(supervisor.#threads.map((thread) => thread.start()));
    const failure = starts.find((start) => start.status === "rejected");
    if (failure === undefined) return supervisor;
    await supervisor.close();
    throw failure.reason;
  }

  /** Milliseconds of the clock by which the workers stamp flows and probes. */
  nowMs(): number {
    return monotonicMs() - this.#clockOriginMs;
  }

  /** Stops all workers, within about a second. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}

/** One worker, from its start through its restarts to its end. */
class Thread {
  readonly #options: SupervisorOptions;
  readonly #worker: number;
  readonly #clockOriginMs: number;
  readonly #wake = new WakeEvent();
  readonly #stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #running: Worker | undefined;
  #ended: Promise<void> = Promise.resolve();
  #restartTimer: NodeJS.Timeout | undefined;
  #restartsMs: number[] = []; // when, within the last minute

  constructor(options: SupervisorOptions, worker: number, clockOriginMs: number) {
    this.#options = options;
    this.#worker = worker;
    this.#clockOriginMs = clockOriginMs;
  }

  /** Resolves when the worker is ready; rejects when it ends before. */
  start(): Promise<void> {
    const { memory, engine, policies, queues, workerFile } = this.#options;
    const queue = queues[this.#worker];
    if (queue === undefined) throw new RangeError(`worker ${this.#worker} has no queue`);
    const data: WorkerOptions = {
      memory,
      worker: this.#worker,
      ...queue,
      wakeFd: this.#wake.fd,
      engine,
      policies,
      clockOriginMs: this.#clockOriginMs,
      stop: this.#stop.buffer,
    };
    const running = new Worker(workerFile ?? new URL("./worker.js", import.meta.url), {
      name: `sapwood-${this.#worker}`,
      workerData: data,
    });
    this.#running = running;

    return new Promise((resolve, reject) => {
      let isReady = false;
      let error = new SapwoodError("system-call", `Worker ${this.#worker} ended without saying why.`);
      running.on("message", (message: WorkerMessage) => {
        if (message.type === "failed") error = new SapwoodError(message.code, message.message);
        if (message.type === "ready") {
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
          this.#leaveEngine();
          ended();
          if (!isReady) reject(error);
          else if (!this.#isStopping) this.#restartLater(error);
        });
      });
    });
  }

  async close(): Promise<void> {
    clearTimeout(this.#restartTimer);
    Atomics.store(this.#stop, 0, 1);
    this.#wake.wake();
    const running = this.#running;
    if (running !== undefined) {
      // A policy module that does not return holds the thread; only termination ends it.
      const timer = setTimeout(() => void running.terminate(), STOP_LIMIT_MS);
      await this.#ended;
      clearTimeout(timer);
    }
    this.#wake.close();
  }

  get #isStopping(): boolean {
    return Atomics.load(this.#stop, 0) !== 0;
  }

  /** A thread that died inside the engine is in no generation any more: control must not wait for it. */
  #leaveEngine(): void {
    const area = new WorkerArea(this.#options.memory, this.#worker);
    const sequence = Atomics.load(area.words, WORKER_SEQUENCE >> 2);
    if (sequence % 2 === 1) Atomics.store(area.words, WORKER_SEQUENCE >> 2, sequence + 1);
  }

  #restartLater(error: SapwoodError): void {
    const nowMs = monotonicMs();
    this.#restartsMs = this.#restartsMs.filter((restartMs) => nowMs - restartMs < 60_000);
    const recent = this.#restartsMs.length;
    const restartInMs = recent < RESTARTS_PER_MINUTE ? BACK_OFF_MS * 4 ** recent : undefined;
    if (restartInMs !== undefined) {
      this.#restartsMs.push(nowMs);
      this.#restartTimer = setTimeout(() => {
        // A worker that does not become ready has ended as well, and counts as another failure.
        this.start().catch((failure: SapwoodError) => {
          if (!this.#isStopping) this.#restartLater(failure);
        });
      }, restartInMs);
    }
    this.#options.onWorkerEnd({ worker: this.#worker, error, restartInMs });
  }
}
