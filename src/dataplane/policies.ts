// The policies of one worker: asks the policy module of a service address when a flow begins.
// Promises: choose() never throws, whatever a module does; a module sees a service's candidates as the service record
// has them, round-trip times that are at most REFRESH_MS older than the data plane's, and, if it asks for them, the flow
// counts of the moment; a choice for a service whose candidates the module knows allocates nothing.

import { SERVICE_CANDIDATE_COUNT, SERVICE_ID, SERVICE_POLICY, SERVICE_REVISION } from "../../assembly/shared/layout.ts";
import { CHOICE_NONE, RECORD_SIZE, UPDATE_DONE } from "../../assembly/shared/policies.ts";
import { CandidateReader } from "./candidate-reader.ts";
import { checkPolicy, instantiatePolicy, type PolicyExports, reasonOf } from "./policy-module.ts";
import type { PolicyModule } from "./worker-contract.ts";

/** A service's candidates are copied again for new round-trip times, or after a failure, at most this often. */
const REFRESH_MS = 100;
/** A module that trapped is started anew at most this often. */
const RESTART_MS = 1000;
/**
 * One that refuses candidates, because its memory is full, at most this often: that helps only when services are gone,
 * and all that are in use have to be prepared again.
 */
const REFUSED_RESTART_MS = 60_000;

/** What a policy did in this worker so far; `choices` counts all calls, the others say what went wrong. */
export interface PolicyReport {
  readonly slot: number;
  readonly name: string;
  readonly choices: number;
  readonly refreshes: number; // times that candidates were copied
  readonly restarts: number;
  readonly none: number; // answers of CHOICE_NONE
  readonly outOfRange: number; // answers that are no index of a candidate
  readonly traps: number;
  readonly refusals: number; // reserve or update did not take the candidates
  readonly unprepared: number; // calls that were not made because the last refresh failed
  readonly lastError: string | undefined;
}

export class PolicyHost {
  /** Choices for which no policy was loaded. */
  missing = 0;
  readonly #candidates: CandidateReader;
  readonly #policies: (HostedPolicy | undefined)[] = [];

  /** Throws module-refused. `worker` stands in error sentences; `clockMs` is monotonic. */
  constructor(
    memory: WebAssembly.Memory,
    modules: readonly PolicyModule[],
    worker: number,
    clockMs: () => number = () => performance.now(),
  ) {
    this.#candidates = new CandidateReader(memory);
    for (const { slot, name, module } of modules) {
      checkPolicy(module, `"${name}" of worker ${worker}`);
      this.#policies[slot] = new HostedPolicy(slot, name, module, this.#candidates, clockMs);
    }
  }

  /** The engine's import: index of a candidate of the service record at `serviceAt`; anything else = no choice. */
  choose(serviceAt: number, flowHash: number, clientHash: number): number {
    const at = serviceAt >>> 0; // an i32 in Wasm: addresses from 2 GiB on arrive as negative numbers
    const policy = this.#policies[this.#candidates.view.getUint32(at + SERVICE_POLICY, true)];
    if (policy !== undefined) return policy.choose(at, flowHash, clientHash);
    this.missing += 1;
    return CHOICE_NONE;
  }

  report(): PolicyReport[] {
    return this.#policies.flatMap((policy) => (policy === undefined ? [] : [policy.report()]));
  }
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
  readonly #services = new Map<number, KnownService>();
  readonly #seesLiveFlows: boolean;
  #exports: PolicyExports;
  #records: DataView;
  #recordWords: Int32Array; // the same memory
  #recordsAt = 0; // what the last refresh that the module took was written to
  #startedMs: number;
  #choices = 0;
  #refreshes = 0;
  #restarts = 0;
  #none = 0;
  #outOfRange = 0;
  #traps = 0;
  #refusals = 0;
  #unprepared = 0;
  #lastError: string | undefined;

  constructor(
    slot: number,
    name: string,
    module: WebAssembly.Module,
    candidates: CandidateReader,
    clockMs: () => number,
  ) {
    this.#slot = slot;
    this.#name = name;
    this.#module = module;
    this.#candidates = candidates;
    this.#clockMs = clockMs;
    this.#exports = instantiatePolicy(module, name);
    this.#records = new DataView(this.#exports.memory.buffer);
    this.#recordWords = new Int32Array(this.#exports.memory.buffer);
    this.#seesLiveFlows = this.#exports.liveFlows?.() === 1;
    this.#startedMs = Number.NEGATIVE_INFINITY;
  }

  choose(serviceAt: number, flowHash: number, clientHash: number): number {
    const { view } = this.#candidates;
    const service = view.getInt32(serviceAt + SERVICE_ID, true);
    this.#choices += 1;
    const known = this.#prepared(service, serviceAt);
    if (!known.isReady) {
      this.#unprepared += 1;
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
      if (choice >= 0 && choice < view.getUint32(serviceAt + SERVICE_CANDIDATE_COUNT, true)) return choice;
      if (choice === CHOICE_NONE) {
        this.#none += 1;
        return CHOICE_NONE;
      }
    }
    this.#outOfRange += 1;
    this.#lastError = `choose answered ${choice}`;
    return Number.isInteger(choice) ? choice : CHOICE_NONE; // a bigint (i64) would throw on its way into the engine
  }

  report(): PolicyReport {
    return {
      slot: this.#slot,
      name: this.#name,
      choices: this.#choices,
      refreshes: this.#refreshes,
      restarts: this.#restarts,
      none: this.#none,
      outOfRange: this.#outOfRange,
      traps: this.#traps,
      refusals: this.#refusals,
      unprepared: this.#unprepared,
      lastError: this.#lastError,
    };
  }

  /** Sees to it that the module has the candidates of the service record. */
  #prepared(service: number, serviceAt: number): KnownService {
    const revision = this.#candidates.view.getUint32(serviceAt + SERVICE_REVISION, true);
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
    this.#refreshes += 1;
    try {
      if (this.#hand(service, serviceAt)) return true;
      this.#refusals += 1;
      // Services that are gone still fill its memory: those in use find room in a new instance.
      return this.#restart(REFUSED_RESTART_MS) && this.#hand(service, serviceAt);
    } catch (cause) {
      this.#trapped("update", cause);
      return false;
    }
  }

  /** Copies the candidates into the module's memory. False if the module does not take them. */
  #hand(service: number, serviceAt: number): boolean {
    const count = this.#candidates.view.getUint32(serviceAt + SERVICE_CANDIDATE_COUNT, true);
    const recordsAt = this.#exports.reserve(service, count) >>> 0;
    this.#followMemory();
    const { byteLength } = this.#records;
    if (recordsAt === 0 || recordsAt % 4 !== 0 || recordsAt + count * RECORD_SIZE > byteLength) {
      this.#lastError = `reserve answered ${recordsAt} for ${count} candidates`;
      return false;
    }
    this.#recordsAt = recordsAt;
    this.#candidates.copy(serviceAt, this.#records, recordsAt);
    const answer = this.#exports.update(service, count);
    if (answer === UPDATE_DONE) return true;
    this.#lastError = `update answered ${answer} for ${count} candidates`;
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
    this.#traps += 1;
    this.#lastError = `${call}: ${reasonOf(cause)}`;
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
      this.#lastError = reasonOf(cause);
      return false;
    }
    this.#services.clear();
    this.#followMemory();
    this.#restarts += 1;
    return true;
  }
}
