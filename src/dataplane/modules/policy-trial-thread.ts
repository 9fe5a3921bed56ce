// Entry of the thread in which a policy module is tried: hands it the candidates as a worker does, asks it for every
// flow of the plan, and holds each answer against the contract. The thread may be ended in any call.

import { parentPort, workerData } from "node:worker_threads";
import { CHOICE_NONE, RECORD_FLOWS, RECORD_SIZE, UPDATE_DONE } from "../../../assembly/shared/policies.ts";
import { reasonOf } from "../../base/errors.ts";
import { ownCpuMs } from "../../sys/thread-clock.ts";
import { isEligible, type PolicyCandidate, writeCandidate } from "./candidate-record.ts";
import { checkPolicy, instantiatePolicy, type PolicyExports, trapText } from "./policy-module.ts";
import * as Trial from "./policy-trial-contract.ts";

/** So often in a set the candidates are handed over again, with the flows that they have by then. */
const REFRESHES = 100;
const FLOWS_PER_CLIENT = 10;
/** A policy that keeps one byte of each choice takes a page after so many, if it begins at the end of one. */
const ENDURANCE_FLOWS = 200_000;
const ENDURANCE_BLOCK = 100;
const ENDURANCE_REFRESH = 1000; // choices until the candidates are handed over again
const ENDURANCE_MS = 500;
/** More traps in a set than this say nothing new. */
const TRAPS_MAX = 100;
/** The bare call is timed in blocks, so that reading the clock does not count; the first half warms the compiler up. */
const TIMING_MS = 100;
const TIMED_BLOCK_MS = 0.25;
const TIMED_CHOICES_MAX = 1000;

/** What goes wrong in a set, by kind. */
class Violations {
  readonly #set: string | undefined;
  readonly #found = new Map<Trial.ViolationKind, Trial.Violation>();

  constructor(set: string | undefined) {
    this.#set = set;
  }

  get list(): Trial.Violation[] {
    return [...this.#found.values()];
  }

  add(kind: Trial.ViolationKind, example: string): void {
    const before = this.#found.get(kind);
    this.#found.set(kind, {
      kind,
      set: this.#set,
      count: 1 + (before?.count ?? 0),
      example: before?.example ?? example,
    });
  }
}

/** The module, each call of it under the eyes of the one who may end this thread. */
class TriedModule {
  readonly seesLiveFlows: boolean;
  readonly #module: WebAssembly.Module;
  readonly #plan: Trial.TrialPlan;
  readonly #progress: Int32Array;
  readonly #endMs: number; // of this thread's processor time
  #exports: PolicyExports;

  /** Throws module-refused. */
  constructor({ module, plan, progress }: Trial.TrialOptions) {
    this.#module = module;
    this.#plan = plan;
    this.#progress = new Int32Array(progress);
    this.#endMs = ownCpuMs() + (plan.trialLimitMs ?? Trial.TRIAL_LIMIT_MS);
    this.#exports = this.watched(Trial.TrialCall.start, () => {
      checkPolicy(module, plan.name);
      return instantiatePolicy(module, plan.name);
    });
    this.seesLiveFlows = this.watched(Trial.TrialCall.start, () => this.#exports.liveFlows?.() === 1);
  }

  get exports(): PolicyExports {
    return this.#exports;
  }

  /** Is the time of the whole trial up? */
  get isOver(): boolean {
    return ownCpuMs() > this.#endMs;
  }

  get memoryBytes(): number {
    return this.#exports.memory.buffer.byteLength;
  }

  /** With fresh memory, as a worker does it after a trap. */
  restart(): void {
    this.#exports = this.watched(Trial.TrialCall.start, () => instantiatePolicy(this.#module, this.#plan.name));
  }

  watched<Answer>(call: Trial.TrialCall, run: () => Answer): Answer {
    Atomics.store(this.#progress, Trial.PROGRESS_CALL, call);
    Atomics.add(this.#progress, Trial.PROGRESS_SEQUENCE, 1);
    try {
      return run();
    } finally {
      Atomics.add(this.#progress, Trial.PROGRESS_SEQUENCE, 1);
    }
  }

  enterSet(index: number): void {
    Atomics.store(this.#progress, Trial.PROGRESS_SET, index);
  }
}

/** One set of candidates, which the module knows as the service `#service`. */
class SetTrial {
  readonly violations: Violations;
  readonly #tried: TriedModule;
  readonly #plan: Trial.TrialPlan;
  readonly #set: Trial.CandidateSet;
  readonly #service: number;
  readonly #hasEligible: boolean;
  readonly #flows: number[]; // by candidate, those from before included
  readonly #chosen: number[];
  #recordsAt = 0;
  #traps = 0;
  #unanswered = 0;
  #choosingMs = 0;
  #slowestMs = 0;

  constructor(tried: TriedModule, plan: Trial.TrialPlan, set: Trial.CandidateSet, service: number) {
    this.violations = new Violations(set.name);
    this.#tried = tried;
    this.#plan = plan;
    this.#set = set;
    this.#service = service;
    this.#hasEligible = set.candidates.some(isEligible);
    this.#flows = set.candidates.map(({ flows }) => flows);
    this.#chosen = set.candidates.map(() => 0);
  }

  run(isEndured: boolean): Trial.SetOutcome {
    const flows = this.#chooseAll();
    if (this.#traps === 0) this.#judgeTime(flows);
    if (isEndured && this.violations.list.length === 0) this.#endure();
    const isTimed = this.#plan.isTimed !== false && flows === this.#plan.flows && this.#traps === 0;
    return {
      set: this.#set.name,
      flows,
      chosen: this.#chosen,
      unanswered: this.#unanswered,
      nsPerChoice: isTimed ? this.#nsPerChoice() : undefined,
      slowestMs: this.#slowestMs,
    };
  }

  /** For how many flows the module was asked. */
  #chooseAll(): number {
    const { flows } = this.#plan;
    const refreshEvery = Math.ceil(flows / REFRESHES);
    let halfBytes = 0;
    for (let flow = 0; flow < flows; flow += 1) {
      if (flow % refreshEvery === 0 && !this.#prepare()) return flow;
      if (flow === flows >> 1) halfBytes = this.#tried.memoryBytes;
      this.#chooseFor(flow);
      if (this.#traps > TRAPS_MAX) return flow + 1;
      if (this.#tried.isOver) {
        this.violations.add("slow", `the trial's time was up after ${flow + 1} of ${flows} flows`);
        return flow + 1;
      }
    }
    this.#judgeMemory(halfBytes, "choices");
    return flows;
  }

  /** So many choices that also a policy that keeps a byte of each has to take another page. */
  #endure(): void {
    const endMs = ownCpuMs() + ENDURANCE_MS;
    const bytesAfter: number[] = []; // each block
    for (let flow = 0; flow < ENDURANCE_FLOWS && ownCpuMs() < endMs; flow += ENDURANCE_BLOCK) {
      if (flow % ENDURANCE_REFRESH === 0 && !this.#prepare()) return;
      try {
        this.#block(flow, ENDURANCE_BLOCK);
      } catch (cause) {
        this.#trapped(`choose: ${trapText(cause)}`);
        return;
      }
      bytesAfter.push(this.#tried.memoryBytes);
    }
    const flows = bytesAfter.length * ENDURANCE_BLOCK;
    this.#judgeMemory(bytesAfter[bytesAfter.length >> 1] ?? this.#tried.memoryBytes, `${flows} choices`);
  }

  #judgeMemory(halfBytes: number, what: string): void {
    const endBytes = this.#tried.memoryBytes;
    if (this.#traps > 0 || endBytes <= halfBytes) return;
    this.violations.add("memory", `it grew from ${halfBytes} to ${endBytes} bytes in the second half of the ${what}`);
  }

  #judgeTime(flows: number): void {
    const meanUs = this.#meanUs(flows);
    if (meanUs <= Trial.CHOICE_MEAN_MAX_US) return;
    const example = `a choice took ${Math.round(meanUs)} µs in the mean of ${flows}, of ${Trial.CHOICE_MEAN_MAX_US} µs`;
    this.violations.add("costly", example);
  }

  #meanUs(flows: number): number {
    return (1000 * this.#choosingMs) / Math.max(1, flows);
  }

  /** Hands the candidates over. False if the module does not take them. */
  #prepare(): boolean {
    const { candidates } = this.#set;
    try {
      const recordsAt =
        this.#timed(Trial.TrialCall.reserve, ({ reserve }) => reserve(this.#service, candidates.length)) >>> 0;
      if (
        recordsAt === 0 ||
        recordsAt % 4 !== 0 ||
        recordsAt + candidates.length * RECORD_SIZE > this.#tried.memoryBytes
      ) {
        this.violations.add("refused", `reserve answered ${recordsAt} for ${candidates.length} candidates`);
        return false;
      }
      this.#recordsAt = recordsAt;
      const records = this.#records();
      candidates.forEach((candidate, index) => {
        writeCandidate(records, index * RECORD_SIZE, { ...candidate, flows: this.#flows[index] ?? 0 });
      });
      const answer = this.#timed(Trial.TrialCall.update, ({ update }) => update(this.#service, candidates.length));
      if (answer === UPDATE_DONE) return true;
      this.violations.add("refused", `update answered ${String(answer)} for ${candidates.length} candidates`);
    } catch (cause) {
      this.#trapped(`update: ${trapText(cause)}`);
    }
    return false;
  }

  #chooseFor(flow: number): void {
    if (this.#tried.seesLiveFlows) {
      const records = this.#records();
      this.#flows.forEach((flows, index) => {
        records.setUint32(index * RECORD_SIZE + RECORD_FLOWS, flows, true);
      });
    }
    let choice: unknown;
    try {
      choice = this.#timed(Trial.TrialCall.choose, ({ choose }) =>
        choose(this.#service, flowHash(flow), clientHash(flow)),
      );
    } catch (cause) {
      this.#unanswered += 1;
      this.#trapped(`choose: ${trapText(cause)}`);
      if (this.#traps <= TRAPS_MAX) this.#prepare();
      return;
    }
    this.#judge(choice);
  }

  #judge(choice: unknown): void {
    const chosen = Number.isInteger(choice) ? this.#set.candidates[choice as number] : undefined;
    if (chosen !== undefined) {
      const index = choice as number;
      this.#chosen[index] = (this.#chosen[index] ?? 0) + 1;
      this.#flows[index] = (this.#flows[index] ?? 0) + 1;
      this.#judgeCandidate(chosen);
      return;
    }
    this.#unanswered += 1;
    if (choice !== CHOICE_NONE) {
      this.violations.add("out-of-range", `choose answered ${String(choice)} of ${this.#chosen.length} candidates`);
    } else if (this.#hasEligible) {
      this.violations.add("none", "choose answered -1, though there are candidates that take new flows");
    }
  }

  #judgeCandidate({ instance, isDraining, isHealthy }: PolicyCandidate): void {
    if (isDraining) this.violations.add("draining", `choose answered instance ${instance}, which drains`);
    else if (!isHealthy) this.violations.add("unhealthy", `choose answered instance ${instance}, which is ill`);
  }

  #trapped(example: string): void {
    this.#traps += 1;
    this.violations.add("trap", example);
    try {
      this.#tried.restart();
    } catch (cause) {
      this.violations.add("refused", reasonOf(cause));
    }
  }

  #timed<Answer>(call: Trial.TrialCall, run: (exports: PolicyExports) => Answer): Answer {
    const cpuStartMs = ownCpuMs();
    const startMs = performance.now();
    try {
      return this.#tried.watched(call, () => run(this.#tried.exports));
    } finally {
      // What the thread waited for the processor is not the module's fault.
      const tookMs = Math.min(performance.now() - startMs, ownCpuMs() - cpuStartMs);
      if (call === Trial.TrialCall.choose) {
        this.#choosingMs += tookMs;
        this.#slowestMs = Math.max(this.#slowestMs, tookMs);
      }
      if (tookMs > this.#plan.timeLimitMs) {
        this.violations.add(
          "slow",
          `${Trial.TrialCall[call]} took ${tookMs.toFixed(1)} ms of ${this.#plan.timeLimitMs} ms`,
        );
      }
    }
  }

  /** Of the bare call, without what is checked around it. */
  #nsPerChoice(): number | undefined {
    const meanMs = this.#choosingMs / this.#plan.flows;
    const choices = Math.max(1, Math.min(TIMED_CHOICES_MAX, Math.floor(TIMED_BLOCK_MS / meanMs)));
    const blocksMs: number[] = [];
    const endMs = performance.now() + TIMING_MS;
    try {
      while (performance.now() < endMs) blocksMs.push(this.#blockMs(choices));
    } catch {
      return undefined;
    }
    const warmMs = blocksMs.slice(blocksMs.length >> 1).sort((a, b) => a - b);
    const medianMs = warmMs[warmMs.length >> 1];
    return medianMs === undefined ? undefined : (medianMs * 1e6) / choices;
  }

  #blockMs(choices: number): number {
    const startMs = performance.now();
    this.#block(0, choices);
    return performance.now() - startMs;
  }

  /** The bare calls for flows from `first` on. */
  #block(first: number, choices: number): void {
    const { choose } = this.#tried.exports;
    this.#tried.watched(Trial.TrialCall.choose, () => {
      for (let flow = first; flow < first + choices; flow += 1) {
        choose(this.#service, flowHash(flow), clientHash(flow));
      }
    });
  }

  #records(): DataView {
    return new DataView(this.#tried.exports.memory.buffer, this.#recordsAt);
  }
}

/** Hashes that a flow and its client have, the same in every trial. */
function flowHash(flow: number): number {
  return scrambled(2 * flow);
}

function clientHash(flow: number): number {
  return scrambled(2 * Math.floor(flow / FLOWS_PER_CLIENT) + 1);
}

/** The finaliser of MurmurHash3. */
function scrambled(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function runTrial(options: Trial.TrialOptions, tell: (message: Trial.TrialMessage) => void): void {
  const { plan } = options;
  let tried: TriedModule;
  try {
    tried = new TriedModule(options);
  } catch (cause) {
    const refused: Trial.Violation = { kind: "refused", set: undefined, count: 1, example: reasonOf(cause) };
    tell({ type: "done", memoryBytes: 0, violations: [refused] });
    return;
  }
  for (const [index, set] of plan.sets.entries()) {
    tried.enterSet(index);
    const trial = new SetTrial(tried, plan, set, index + 1);
    const outcome = trial.run(index === 0 && plan.isEndured !== false);
    tell({ type: "set", outcome, violations: trial.violations.list });
    if (tried.isOver) break;
  }
  tell({ type: "done", memoryBytes: tried.memoryBytes, violations: [] });
}

runTrial(workerData as Trial.TrialOptions, (message) => parentPort?.postMessage(message));
