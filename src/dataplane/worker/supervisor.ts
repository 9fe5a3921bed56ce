// Starts the workers, hands modules to them while they run, and ends one that is held by a call which does not return.
// Promises: a module is in force in all workers or in none; a worker that starts has the modules that were handed over
// last; after close() no thread touches memory or descriptors.

import { SapwoodError } from "../../base/errors.ts";
import { DEFAULT_POLICY_TIME_MS } from "../../model/policy-names.ts";
import type { CaptureOrders } from "../capture/capture-contract.ts";
import { CallWatch, type WatchedCall } from "../modules/call-watch.ts";
import { PolicyBoard } from "../modules/policy-board.ts";
import { Gate } from "./gate.ts";
import { NO_SLOT, ShareWatch } from "./share-watch.ts";
import { WatchPace } from "./watch-pace.ts";
import { monotonicMs, type Order, type PolicyModule, type PolicyOrder } from "./worker-contract.ts";
import { WorkerDeaths } from "./worker-deaths.ts";
import { type ModuleSet, WorkerThread, type WorkerThreadOptions } from "./worker-thread.ts";

/** A call that did not return in time. */
export interface Overdue {
  readonly worker: number;
  /** Of the policy that was called; undefined: the engine itself. */
  readonly slot: number | undefined;
  /** How many times its limit has passed. */
  readonly times: number;
}

export interface SupervisorOptions extends WorkerThreadOptions {
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
  /** When the workers' clock is 0, in milliseconds of monotonicMs(); now unless given. */
  readonly clockOriginMs?: number;
  /** The workers wait for release() before they touch their descriptors. */
  readonly isHeld?: boolean;
  /** How long a call of a policy may take; DEFAULT_POLICY_TIME_MS unless given. */
  readonly policyTimeMs?: number;
  /**
   * Whether the worker is to be ended; what it starts with afterwards may be handed over meanwhile. Asked again each
   * time that the limit has passed once more.
   */
  readonly onOverdue?: (overdue: Overdue) => boolean;
  /**
   * Policies took more than POLICY_SHARE_MAX of a worker's time, and this one most of it; another may be handed over.
   */
  readonly onGreedy?: (slot: number) => void;
}

/** How the workers took an order. */
export interface HandOver {
  /** From the order until all workers had carried it out. */
  readonly tookMs: number;
  /** How long a worker handled no packets for it, at most. */
  readonly pauseMs: number;
}

const ENGINE_TIME_MS = 1000;
/** Of a worker's time a policy may take so much over a second. */
export const POLICY_SHARE_MAX = 0.5;
const SHARE_WINDOW_MS = 1000;
/** A policy's call is overdue only if its thread had this part of the limit as processor time. */
const CPU_SHARE = 0.5;
const LOOK_INTERVAL_MS = 10;
const LOOKS_MIN = 5;

/** A kind of call of one worker. */
interface ThreadCall extends WatchedCall {
  readonly worker: number;
  readonly isPolicy: boolean; // else of the engine
}

/** Starts all workers and watches them. */
export class Supervisor {
  readonly board: PolicyBoard;
  readonly #options: SupervisorOptions;
  readonly #modules: ModuleSet;
  readonly #threads: readonly WorkerThread[];
  readonly #deaths: WorkerDeaths;
  readonly #clockOriginMs: number;
  readonly #gate: Gate;
  #pace: WatchPace | undefined;
  #ordersGiven = 0;
  readonly #replacing = new Set<number>(); // orders that took an overdue module out of force

  private constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#clockOriginMs = options.clockOriginMs ?? monotonicMs();
    this.board = PolicyBoard.create(options.queues.length);
    this.#modules = {
      engine: options.engine,
      captures: undefined,
      policies: new Map(options.policies.map((one) => [one.slot, one])),
    };
    this.#deaths = new WorkerDeaths(options.memory);
    const gate = Gate.create(options.isHeld !== true);
    this.#gate = gate;
    this.#threads = options.queues.map(
      (_, worker) =>
        new WorkerThread(options, worker, this.#clockOriginMs, this.#modules, this.board, gate, this.#deaths),
    );
  }

  /** Resolves when every worker reads its queue, or is held before that. When one cannot, the others are stopped, and its error is thrown. */
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

  /** What is captured from now on, in the place of what was; also by workers that are started later. */
  handCaptures(captures: CaptureOrders | undefined): Promise<HandOver> {
    this.#modules.captures = captures;
    return this.#giveAll({ kind: "capture", captures }, () => this.handCaptures(undefined));
  }

  /** Resolves when no worker touches its descriptors any more, until release(). Packets wait in the kernel's queues. */
  hold(): Promise<HandOver> {
    this.#gate.shut();
    return this.#giveAll({ kind: "hold" }, () => this.hold());
  }

  /** Ends what hold() began; the workers go on with what waits. */
  release(): void {
    this.#gate.open();
  }

  /** Stops all workers, within about a second. */
  async close(): Promise<void> {
    this.#pace?.close();
    const closing = this.#threads.map((thread) => thread.close());
    this.#gate.open(); // they have been told to stop
    await Promise.all(closing);
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
    const watched = this.#threads.flatMap((thread, worker): ThreadCall[] => {
      const looks = (limitMs: number): number => Math.ceil(limitMs / intervalMs);
      const cpu = { cpuLimitMs: policyTimeMs * CPU_SHARE, cpuMs: () => thread.cpuMs };
      return [
        { worker, isPolicy: true, sequence: () => thread.policySequence, looks: looks(policyTimeMs), ...cpu },
        // An engine that waits for a lock takes no processor time.
        { worker, isPolicy: false, sequence: () => thread.engineSequence, looks: looks(ENGINE_TIME_MS) },
      ];
    });
    const watch = new CallWatch(watched);
    const shares = this.#threads.map(() => new ShareWatch(Math.ceil(SHARE_WINDOW_MS / intervalMs), POLICY_SHARE_MAX));
    const known = this.#threads.map((thread) => thread.policySequence);
    const look = (steps: number): boolean => {
      for (const { index, times } of watch.look(steps)) this.#onOverdue(watched[index] as ThreadCall, times);
      this.#findGreedy(shares);
      return (
        this.#threads.filter((thread, worker) => {
          const before = known[worker];
          known[worker] = thread.policySequence;
          return known[worker] !== before || isInside(thread.policySequence);
        }).length > 0
      );
    };
    this.#pace = new WatchPace({ word: this.board.watch, fastMs: intervalMs, look });
  }

  #findGreedy(shares: readonly ShareWatch[]): void {
    this.#threads.forEach((thread, worker) => {
      const slot = isInside(thread.policySequence) ? thread.calledSlot : NO_SLOT;
      const greedy = shares[worker]?.add(slot) ?? NO_SLOT;
      if (greedy === NO_SLOT) return;
      for (const share of shares) share.forget(greedy);
      this.#options.onGreedy?.(greedy);
    });
  }

  #onOverdue({ worker, isPolicy }: ThreadCall, times: number): void {
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

function isInside(sequence: number): boolean {
  return (sequence & 1) === 1;
}
