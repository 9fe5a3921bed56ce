// Starts the data-plane threads, stops them, hands modules to them while they run, ends one that is held by a call which
// does not return, and restarts one that ended on the same descriptors and memory.
// Promises: closes only what it opened (eventfds, threads); after close() no thread touches memory or descriptors; a
// worker that starts has the modules that were handed over last.

import { Worker } from "node:worker_threads";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { SapwoodError } from "../../base/errors.ts";
import { WakeEvent } from "../../sys/poll.ts";
import { threadCpuMs } from "../../sys/thread-clock.ts";
import { WorkerArea } from "../io/device.ts";
import type { FaultSettings } from "../io/fault-settings.ts";
import { CallWatch, type WatchedCall } from "../modules/call-watch.ts";
import { CALL_ENGINE, CALL_SEQUENCE, CALL_SLOT, CALL_THREAD, PolicyBoard } from "../modules/policy-board.ts";
import { NO_SLOT, ShareWatch } from "./share-watch.ts";
import {
  monotonicMs,
  ORDERS_STOP,
  type Order,
  type PolicyModule,
  type PolicyOrder,
  type WorkerMessage,
  type WorkerOptions,
} from "./worker-contract.ts";
import { WorkerDeaths } from "./worker-deaths.ts";

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

/** A call that did not return in time. */
export interface Overdue {
  readonly worker: number;
  /** Of the policy that was called; undefined: the engine itself. */
  readonly slot: number | undefined;
  /** How many times its limit has passed. */
  readonly times: number;
}

export interface SupervisorOptions {
  readonly memory: WebAssembly.Memory;
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
  readonly queues: readonly WorkerQueue[]; // one per worker
  /** What the devices of all workers are told to do wrong; nothing unless given. */
  readonly faults?: FaultSettings | undefined;
  /** How long a call of a policy may take; DEFAULT_POLICY_TIME_MS unless given. */
  readonly policyTimeMs?: number;
  readonly onWorkerEnd: (end: WorkerEnd) => void;
  /**
   * Whether the worker is to be ended; what it starts with afterwards may be handed over meanwhile. Asked again each
   * time that the limit has passed once more.
   */
  readonly onOverdue?: (overdue: Overdue) => boolean;
  /** Policies took more than POLICY_SHARE_MAX of a worker's time, and this one most of it; another may be handed over. */
  readonly onGreedy?: (slot: number) => void;
  /** A worker ended by itself. Whether another engine was handed over, with which it starts at once. */
  readonly onEngineFailed?: (error: SapwoodError) => boolean;
  readonly onPolicyFailed?: (slot: number, message: string) => void;
  /** The worker's compiled entry; only a test that runs from source has to name it. */
  readonly workerFile?: URL;
}

/** How the workers took an order. */
export interface HandOver {
  /** From the order until all workers had carried it out. */
  readonly tookMs: number;
  /** How long a worker handled no packets for it, at most. */
  readonly pauseMs: number;
}

export const DEFAULT_POLICY_TIME_MS = 50;
const ENGINE_TIME_MS = 1000;
/** Of a worker's time a policy may take so much over a second. */
export const POLICY_SHARE_MAX = 0.5;
const SHARE_WINDOW_MS = 1000;
/** A policy's call is overdue only if its thread had this part of the limit as processor time. */
const CPU_SHARE = 0.5;
const LOOK_INTERVAL_MS = 10;
const LOOKS_MIN = 5;
const STOP_LIMIT_MS = 1000;
const RESTARTS_PER_MINUTE = 3;
const BACK_OFF_MS = 100; // times four with each restart within the last minute

/** Starts all workers and watches them. */
export class Supervisor {
  readonly board: PolicyBoard;
  readonly #options: SupervisorOptions;
  readonly #modules: ModuleSet;
  readonly #threads: readonly Thread[];
  readonly #deaths: WorkerDeaths;
  readonly #clockOriginMs = monotonicMs();
  #looking: NodeJS.Timeout | undefined;
  #ordersGiven = 0;
  readonly #replacing = new Set<number>(); // orders that took an overdue module out of force

  private constructor(options: SupervisorOptions) {
    this.#options = options;
    this.board = PolicyBoard.create(options.queues.length);
    this.#modules = { engine: options.engine, policies: new Map(options.policies.map((one) => [one.slot, one])) };
    this.#deaths = new WorkerDeaths(options.memory);
    this.#threads = options.queues.map(
      (_, worker) => new Thread(options, worker, this.#clockOriginMs, this.#modules, this.board, this.#deaths),
    );
  }

  /** Resolves when every worker reads its queue. When one cannot, the others are stopped, and its error is thrown. */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const supervisor = new Supervisor(options);
    const starts = await Promise.allSettled(supervisor.#threads.map((thread) => thread.start()));
    const failure = starts.find((start) => start.status === "rejected");
    if (failure === undefined) {
      supervisor.#watchCalls();
      return supervisor;
    }
    await supervisor.close();
    throw failure.reason;
  }

  /** Milliseconds of the clock by which the workers stamp flows and probes. */
  nowMs(): number {
    return monotonicMs() - this.#clockOriginMs;
  }

  /** Processor time that each worker's thread has had since it was started last; undefined while there is none. */
  cpuMs(): readonly (number | undefined)[] {
    return this.#threads.map((thread) => thread.cpuMs);
  }

  /** Resolves when all workers have it. Throws module-refused when one cannot, and then none keeps it. */
  async handPolicy(policy: Omit<PolicyOrder, "kind">): Promise<HandOver> {
    const { policies } = this.#modules;
    const former = policies.get(policy.slot);
    const { module } = policy;
    if (module === undefined) policies.delete(policy.slot);
    else policies.set(policy.slot, { ...policy, module });
    return await this.#giveAll({ kind: "policy", ...policy }, () =>
      this.handPolicy({ ...policy, module: former?.module }),
    );
  }

  /** Resolves when all workers have it. Throws module-refused when one cannot, and then none keeps it. */
  async handEngine(module: WebAssembly.Module): Promise<HandOver> {
    const former = this.#modules.engine;
    this.#modules.engine = module;
    return await this.#giveAll({ kind: "engine", module }, () => this.handEngine(former));
  }

  /** Stops all workers, within about a second. */
  async close(): Promise<void> {
    clearInterval(this.#looking);
    await Promise.all(this.#threads.map((thread) => thread.close()));
    await this.#deaths.settled();
  }

  async #giveAll(order: Order, takeBack: () => Promise<HandOver>): Promise<HandOver> {
    const startedMs = performance.now();
    const id = ++this.#ordersGiven;
    const answers = await Promise.all(this.#threads.map((thread) => thread.give(order, id)));
    const refusal = answers.find((answer) => answer.refusal !== undefined)?.refusal;
    if (refusal !== undefined) {
      await takeBack();
      throw new SapwoodError("module-refused", `A worker could not start the module: ${refusal}`);
    }
    const pauseMs = Math.max(...answers.map((answer) => answer.pauseMs));
    return { tookMs: performance.now() - startedMs, pauseMs };
  }

  #watchCalls(): void {
    const policyTimeMs = this.#options.policyTimeMs ?? DEFAULT_POLICY_TIME_MS;
    const intervalMs = Math.max(1, Math.min(LOOK_INTERVAL_MS, policyTimeMs / LOOKS_MIN));
    const watched = this.#threads.flatMap((thread): WatchedCall[] => {
      const looks = (limitMs: number): number => Math.ceil(limitMs / intervalMs);
      const cpu = { cpuLimitMs: policyTimeMs * CPU_SHARE, cpuMs: () => thread.cpuMs };
      return [
        { sequence: () => thread.policySequence, looks: looks(policyTimeMs), ...cpu },
        // An engine that waits for a lock takes no processor time.
        { sequence: () => thread.engineSequence, looks: looks(ENGINE_TIME_MS) },
      ];
    });
    const watch = new CallWatch(watched);
    const shares = this.#threads.map(() => new ShareWatch(Math.ceil(SHARE_WINDOW_MS / intervalMs), POLICY_SHARE_MAX));
    this.#looking = setInterval(() => {
      for (const { index, times } of watch.look()) this.#onOverdue(index >> 1, index % 2 === 0, times);
      this.#threads.forEach((thread, worker) => {
        const greedy = shares[worker]?.add(thread.policySequence % 2 === 0 ? NO_SLOT : thread.calledSlot) ?? NO_SLOT;
        if (greedy === NO_SLOT) return;
        for (const share of shares) share.forget(greedy);
        this.#options.onGreedy?.(greedy);
      });
    }, intervalMs);
    this.#looking.unref();
  }

  #onOverdue(worker: number, isPolicy: boolean, times: number): void {
    const thread = this.#threads[worker];
    if (thread === undefined || thread.isEnding) return;
    const slot = isPolicy ? thread.calledSlot : undefined;
    const name = slot === undefined ? "The engine" : `The policy "${this.#modules.policies.get(slot)?.name}"`;
    // A worker that waits to have an overdue module replaced is in that one, not in the one in force.
    let isReplaced = thread.waitsFor(this.#replacing);
    if (!isReplaced) {
      const ordersBefore = this.#ordersGiven;
      if (this.#options.onOverdue?.({ worker, slot, times }) !== true) return;
      for (let id = ordersBefore + 1; id <= this.#ordersGiven; id++) this.#replacing.add(id);
      isReplaced = this.#ordersGiven !== ordersBefore;
    }
    thread.end(new SapwoodError("module-refused", `${name} did not return in time.`), isReplaced);
  }
}

/** What every worker runs. */
interface ModuleSet {
  engine: WebAssembly.Module;
  readonly policies: Map<number, PolicyModule>; // by slot
}

interface Answer {
  readonly pauseMs: number;
  readonly refusal: string | undefined;
}

/** A worker that is not there: its successor starts with what was ordered. */
const NOBODY: Answer = { pauseMs: 0, refusal: undefined };

/** One worker, from its start through its restarts to its end. */
class Thread {
  readonly #options: SupervisorOptions;
  readonly #worker: number;
  readonly #clockOriginMs: number;
  readonly #modules: ModuleSet;
  readonly #board: PolicyBoard;
  readonly #deaths: WorkerDeaths;
  readonly #call: Int32Array;
  readonly #areaWords: Uint32Array;
  readonly #wake = new WakeEvent();
  readonly #orders = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #unanswered = new Map<number, (answer: Answer) => void>();
  #running: Worker | undefined;
  #ended: Promise<void> = Promise.resolve();
  #endedFor: { readonly why: SapwoodError; readonly isCured: boolean } | undefined; // what end() was told
  #engine: WebAssembly.Module | undefined; // that the worker surely runs
  #restartTimer: NodeJS.Timeout | undefined;
  #restartsMs: number[] = []; // when, within the last minute

  constructor(
    options: SupervisorOptions,
    worker: number,
    clockOriginMs: number,
    modules: ModuleSet,
    board: PolicyBoard,
    deaths: WorkerDeaths,
  ) {
    this.#options = options;
    this.#worker = worker;
    this.#clockOriginMs = clockOriginMs;
    this.#modules = modules;
    this.#board = board;
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

  /** Resolves when the worker is ready; rejects when it ends before. */
  start(): Promise<void> {
    const { memory, queues, faults, workerFile } = this.#options;
    const queue = queues[this.#worker];
    if (queue === undefined) throw new RangeError(`worker ${this.#worker} has no queue`);
    const data: WorkerOptions = {
      memory,
      worker: this.#worker,
      ...queue,
      wakeFd: this.#wake.fd,
      faults,
      engine: this.#modules.engine,
      policies: [...this.#modules.policies.values()],
      clockOriginMs: this.#clockOriginMs,
      orders: this.#orders.buffer,
      ordersGiven: Atomics.load(this.#orders, 0),
      board: this.#board.buffer,
    };
    const running = new Worker(workerFile ?? new URL("./worker.js", import.meta.url), {
      name: `sapwood-${this.#worker}`,
      workerData: data,
    });
    this.#running = running;
    this.#engine = data.engine;

    return new Promise((resolve, reject) => {
      let isReady = false;
      let error = new SapwoodError("system-call", `Worker ${this.#worker} ended without saying why.`);
      running.on("message", (message: WorkerMessage) => {
        if (message.type === "failed") error = new SapwoodError(message.code, message.message);
        else if (message.type === "obeyed") this.#answered(message.id, message);
        else if (message.type === "policyFailed") {
          this.#options.onPolicyFailed?.(message.slot, message.message);
        } else if (message.type === "ready") {
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
  }

  /** Resolves when the worker has carried it out, or when there is none that could. */
  give(order: Order, id: number): Promise<Answer> {
    const running = this.#running;
    if (running === undefined || this.#isStopping) return Promise.resolve(NOBODY);
    return new Promise((answered) => {
      const resolve = (answer: Answer): void => {
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
      // A policy module that does not return holds the thread; only termination ends it.
      const timer = setTimeout(() => void running.terminate(), STOP_LIMIT_MS);
      await this.#ended;
      clearTimeout(timer);
    }
    this.#wake.close();
  }

  get #isStopping(): boolean {
    return Atomics.load(this.#orders, 0) === ORDERS_STOP;
  }

  #answered(id: number, answer: Answer): void {
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
