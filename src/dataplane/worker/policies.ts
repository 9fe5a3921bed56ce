// The policies of one worker: asks the policy module of a service address when a flow begins. Promises: choose() never
// throws, whatever a module does; a module sees a service's candidates as the service record has them, round-trip times
// that are at most REFRESH_MS older than the data plane's, and, if it asks for them, the flow counts of the moment; a
// choice for a service whose candidates the module knows allocates nothing.

import * as ServiceLayout from "../../../assembly/shared/layout/service.ts";
import { CHOICE_NONE, RECORD_SIZE, UPDATE_DONE } from "../../../assembly/shared/policies.ts";
import { reasonOf } from "../../base/errors.ts";
import { CandidateReader } from "../modules/candidate-reader.ts";
import {
  CALL_SEQUENCE,
  CALL_SLOT,
  choiceClass,
  PolicyBoard,
  PolicyCount,
  WATCH_LOOKS,
  WATCH_SLEEPS,
} from "../modules/policy-board.ts";
import { instantiatePolicy, type PolicyExports, trapText } from "../modules/policy-module.ts";
import type { PolicyModule, PolicyOrder } from "./worker-contract.ts";

/** A service's candidates are copied again for new round-trip times, or after a failure, at most this often. */
const REFRESH_MS = 100;
/** A module that trapped is started anew at most this often. */
const RESTART_MS = 1000;
/**
 * One that refuses candidates, because its memory is full, at most this often: that helps only when services are gone,
 * and all that are in use have to be prepared again.
 */
const REFUSED_RESTART_MS = 60_000;

/** A failure is told at most this often, and counted always. */
const FAULT_PAUSE_MS = 1000;
/** Taking the time costs more than many a choice: it is done for every 64th, and soon after the first. */
const TIMED_EVERY = 64;
const TIMED_AT = 2;

/** What a policy did in this worker since its module was put in force. */
export interface HostedPolicyState extends Readonly<Record<Exclude<keyof typeof PolicyCount, "count">, number>> {
  readonly slot: number;
  readonly name: string;
  readonly lastError: string | undefined;
}

interface PolicyHostOptions {
  /** Monotonic. */
  readonly clockMs?: () => number;
  /** Of the same memory. */
  readonly candidates?: CandidateReader;
  readonly board?: PolicyBoard;
  readonly onFault?: (slot: number, message: string) => void;
}

export class PolicyHost {
  /** Choices for which no policy was loaded. */
  missing = 0;
  readonly #candidates: CandidateReader;
  readonly #surroundings: Surroundings;
  readonly #policies: (HostedPolicy | undefined)[] = [];

  /** Throws module-refused. */
  constructor(
    memory: WebAssembly.Memory,
    modules: readonly PolicyModule[],
    worker: number,
    { clockMs = () => performance.now(), candidates, board, onFault = () => undefined }: PolicyHostOptions = {},
  ) {
    this.#candidates = candidates ?? new CandidateReader(memory);
    const ownBoard = board ?? PolicyBoard.create(worker + 1);
    this.#surroundings = {
      candidates: this.#candidates,
      clockMs,
      onFault,
      call: ownBoard.call(worker),
      watch: ownBoard.watch,
      counts: (slot) => ownBoard.counts(worker, slot),
      times: (slot) => ownBoard.times(worker, slot),
    };
    for (const { slot, name, module } of modules) this.#policies[slot] = this.#host(slot, name, module);
  }

  /** Throws module-refused, and then all is as it was. What the policy before knew and counted is forgotten. */
  replace({ slot, name, module }: Omit<PolicyOrder, "kind">): void {
    const policy = module === undefined ? undefined : this.#host(slot, name, module);
    this.#surroundings.counts(slot).fill(0);
    this.#surroundings.times(slot).fill(0);
    this.#policies[slot] = policy;
  }

  /** The engine's import: index of a candidate of the service record at `serviceAt`; anything else = no choice. */
  choose(serviceAt: number, flowHash: number, clientHash: number): number {
    const at = serviceAt >>> 0; // an i32 in Wasm: addresses from 2 GiB on arrive as negative numbers
    const policy = this.#policies[this.#candidates.view.getUint32(at + ServiceLayout.POLICY, true)];
    if (policy !== undefined) return policy.choose(at, flowHash, clientHash);
    this.missing += 1;
    return CHOICE_NONE;
  }

  report(): HostedPolicyState[] {
    return this.#policies.flatMap((policy) => (policy === undefined ? [] : [policy.report()]));
  }

  #host(slot: number, name: string, module: WebAssembly.Module): HostedPolicy {
    const { call, watch } = this.#surroundings;
    enterCall(call, watch, slot); // the module's start function runs here
    try {
      return new HostedPolicy(slot, name, module, this.#surroundings);
    } finally {
      leaveCall(call);
    }
  }
}

/** What all policies of a worker have in common. */
interface Surroundings {
  readonly candidates: CandidateReader;
  readonly clockMs: () => number;
  readonly onFault: (slot: number, message: string) => void;
  readonly call: Int32Array; // PolicyBoard.call()
  readonly watch: Int32Array; // PolicyBoard.watch
  readonly counts: (slot: number) => Float64Array;
  readonly times: (slot: number) => Float64Array; // PolicyBoard.times()
}

// Plain stores: the watch may see them late, and looks for calls that are there for long. A watch that is about to sleep
// may miss the call, and is not woken by it then: it looks now and then also while it sleeps.
function enterCall(call: Int32Array, watch: Int32Array, slot: number): void {
  call[CALL_SLOT] = slot;
  call[CALL_SEQUENCE] = ((call[CALL_SEQUENCE] as number) + 1) | 0;
  if (watch[0] === WATCH_SLEEPS) wakeWatch(watch);
}

function wakeWatch(watch: Int32Array): void {
  Atomics.store(watch, 0, WATCH_LOOKS);
  Atomics.notify(watch, 0);
}

function leaveCall(call: Int32Array): void {
  call[CALL_SEQUENCE] = ((call[CALL_SEQUENCE] as number) + 1) | 0;
}

/** What a policy instance knows of a service. */
interface KnownService {
  readonly revision: number;
  readonly epoch: number; // of the metrics
  readonly refreshedMs: number;
  readonly isReady: boolean; // it took the candidates
  readonly recordsAt: number; // of its candidates in the module's memory
}

/** One policy module with its instance, and what it was told. */
class HostedPolicy {
  readonly #slot: number;
  readonly #name: string;
  readonly #module: WebAssembly.Module;
  readonly #candidates: CandidateReader;
  readonly #clockMs: () => number;
  readonly #onFault: (slot: number, message: string) => void;
  readonly #call: Int32Array;
  readonly #watch: Int32Array;
  readonly #counts: Float64Array; // by PolicyCount
  readonly #times: Float64Array; // by choiceClass()
  readonly #services = new Map<number, KnownService>();
  readonly #seesLiveFlows: boolean;
  #exports: PolicyExports;
  #records: DataView;
  #recordWords: Int32Array; // the same memory
  #recordsAt = 0; // what the last refresh that the module took was written to
  #startedMs = Number.NEGATIVE_INFINITY;
  #toldFaultMs = Number.NEGATIVE_INFINITY;
  #lastError: string | undefined;

  constructor(slot: number, name: string, module: WebAssembly.Module, surroundings: Surroundings) {
    this.#slot = slot;
    this.#name = name;
    this.#module = module;
    this.#candidates = surroundings.candidates;
    this.#clockMs = surroundings.clockMs;
    this.#onFault = surroundings.onFault;
    this.#call = surroundings.call;
    this.#watch = surroundings.watch;
    this.#counts = surroundings.counts(slot);
    this.#times = surroundings.times(slot);
    this.#exports = instantiatePolicy(module, name);
    this.#records = new DataView(this.#exports.memory.buffer);
    this.#recordWords = new Int32Array(this.#exports.memory.buffer);
    this.#seesLiveFlows = this.#exports.liveFlows?.() === 1;
  }

  choose(serviceAt: number, flowHash: number, clientHash: number): number {
    enterCall(this.#call, this.#watch, this.#slot);
    this.#count(PolicyCount.choices, 1);
    const isTimed = (this.#counts[PolicyCount.choices] as number) % TIMED_EVERY === TIMED_AT;
    const choice = isTimed
      ? this.#askTimed(serviceAt, flowHash, clientHash)
      : this.#ask(serviceAt, flowHash, clientHash);
    leaveCall(this.#call);
    return choice;
  }

  #askTimed(serviceAt: number, flowHash: number, clientHash: number): number {
    const startedMs = performance.now();
    const choice = this.#ask(serviceAt, flowHash, clientHash);
    const tookMs = performance.now() - startedMs;
    this.#count(PolicyCount.timedMs, tookMs);
    const at = choiceClass(1000 * tookMs);
    this.#times[at] = (this.#times[at] as number) + 1;
    this.#count(PolicyCount.timedChoices, 1);
    return choice;
  }

  #ask(serviceAt: number, flowHash: number, clientHash: number): number {
    const { view } = this.#candidates;
    const service = view.getInt32(serviceAt + ServiceLayout.ID, true);
    const known = this.#prepared(service, serviceAt);
    if (!known.isReady) {
      this.#count(PolicyCount.unprepared, 1);
      return CHOICE_NONE;
    }
    let choice: number;
    try {
      if (this.#seesLiveFlows) {
        this.#followMemory();
        this.#candidates.copyFlows(serviceAt, this.#recordWords, known.recordsAt);
      }
      choice = this.#exports.choose(service, flowHash, clientHash);
    } catch (cause) {
      this.#trapped("choose", cause);
      return CHOICE_NONE;
    }
    if (Number.isInteger(choice)) {
      if (choice >= 0 && choice < view.getUint32(serviceAt + ServiceLayout.CANDIDATE_COUNT, true)) return choice;
      if (choice === CHOICE_NONE) {
        this.#count(PolicyCount.none, 1);
        if (this.#candidates.hasEligible(serviceAt)) {
          this.#count(PolicyCount.declined, 1);
          this.#fault("choose answered -1 although a candidate takes new flows");
        }
        return CHOICE_NONE;
      }
    }
    this.#count(PolicyCount.outOfRange, 1);
    this.#fault(`choose answered ${choice}`);
    return Number.isInteger(choice) ? choice : CHOICE_NONE; // a bigint (i64) would throw on its way into the engine
  }

  report(): HostedPolicyState {
    const count = (which: PolicyCount): number => this.#counts[which] ?? 0;
    return {
      slot: this.#slot,
      name: this.#name,
      choices: count(PolicyCount.choices),
      refreshes: count(PolicyCount.refreshes),
      restarts: count(PolicyCount.restarts),
      none: count(PolicyCount.none),
      declined: count(PolicyCount.declined),
      outOfRange: count(PolicyCount.outOfRange),
      traps: count(PolicyCount.traps),
      refusals: count(PolicyCount.refusals),
      unprepared: count(PolicyCount.unprepared),
      timedChoices: count(PolicyCount.timedChoices),
      timedMs: count(PolicyCount.timedMs),
      lastError: this.#lastError,
    };
  }

  /** Gives the module the candidates of the service record, if it lacks them. */
  #prepared(service: number, serviceAt: number): KnownService {
    const revision = this.#candidates.view.getUint32(serviceAt + ServiceLayout.REVISION, true);
    // Read before the metrics are copied: what changes meanwhile is copied next time.
    const epoch = this.#candidates.metricsEpoch();
    const known = this.#services.get(service);
    if (known?.revision === revision) {
      if (known.isReady && known.epoch === epoch) return known;
      if (this.#clockMs() - known.refreshedMs < REFRESH_MS) return known;
    }
    const isReady = this.#refresh(service, serviceAt); // may start the module anew, which forgets all services
    const now = { revision, epoch, refreshedMs: this.#clockMs(), isReady, recordsAt: this.#recordsAt };
    this.#services.set(service, now);
    return now;
  }

  #refresh(service: number, serviceAt: number): boolean {
    this.#count(PolicyCount.refreshes, 1);
    try {
      if (this.#hand(service, serviceAt)) return true;
      this.#count(PolicyCount.refusals, 1);
      // Services that are gone still fill its memory: those in use find room in a new instance.
      return this.#restart(REFUSED_RESTART_MS) && this.#hand(service, serviceAt);
    } catch (cause) {
      this.#trapped("update", cause);
      return false;
    }
  }

  /** Copies the candidates into the module's memory. False if the module does not take them. */
  #hand(service: number, serviceAt: number): boolean {
    const count = this.#candidates.view.getUint32(serviceAt + ServiceLayout.CANDIDATE_COUNT, true);
    const recordsAt = this.#exports.reserve(service, count) >>> 0;
    this.#followMemory();
    const { byteLength } = this.#records;
    if (recordsAt === 0 || recordsAt % 4 !== 0 || recordsAt + count * RECORD_SIZE > byteLength) {
      this.#fault(`reserve answered ${recordsAt} for ${count} candidates`);
      return false;
    }
    this.#recordsAt = recordsAt;
    this.#candidates.copy(serviceAt, this.#records, recordsAt);
    const answer = this.#exports.update(service, count);
    if (answer === UPDATE_DONE) return true;
    this.#fault(`update answered ${answer} for ${count} candidates`);
    return false;
  }

  /** A memory that grew has another buffer. */
  #followMemory(): void {
    const { buffer } = this.#exports.memory;
    if (this.#records.buffer === buffer) return;
    this.#records = new DataView(buffer);
    this.#recordWords = new Int32Array(buffer);
  }

  #trapped(call: string, cause: unknown): void {
    this.#count(PolicyCount.traps, 1);
    this.#fault(`${call}: ${trapText(cause)}`);
    this.#restart(RESTART_MS); // a call that was cut off may have left its memory in any state
  }

  /** A new instance with fresh memory. False if it was started only just now, or cannot be. */
  #restart(pauseMs: number): boolean {
    const nowMs = this.#clockMs();
    if (nowMs - this.#startedMs < pauseMs) return false;
    this.#startedMs = nowMs;
    try {
      this.#exports = instantiatePolicy(this.#module, this.#name);
    } catch (cause) {
      this.#fault(reasonOf(cause));
      return false;
    }
    this.#services.clear();
    this.#followMemory();
    this.#count(PolicyCount.restarts, 1);
    return true;
  }

  #count(which: PolicyCount, amount: number): void {
    this.#counts[which] = (this.#counts[which] as number) + amount;
  }

  #fault(message: string): void {
    this.#lastError = message;
    const nowMs = this.#clockMs();
    if (nowMs - this.#toldFaultMs < FAULT_PAUSE_MS) return;
    this.#toldFaultMs = nowMs;
    this.#onFault(this.#slot, message);
  }
}
