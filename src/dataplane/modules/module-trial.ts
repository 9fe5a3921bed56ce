// Tries modules before anybody relies on them, in processes that can die of them.
// Promises: a trial ends, whatever the module does, and costs this process nothing but the wait.

import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { SapwoodError } from "../../base/errors.ts";
import { TRIAL_LIMIT_MS, type TrialPlan, type TrialReport } from "./policy-trial-contract.ts";
import type { NamedRequest, TrialAnswer } from "./trial-contract.ts";

// Compiled, this file has the process's beside it; as source (a test) it uses the compiled one.
const PROCESS = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/src/dataplane/modules/trial-process.js" : "./trial-process.js",
  import.meta.url,
);
const PROCESSES_MAX = Math.min(4, availableParallelism());
/** A process that nobody needs any more ends after so long. */
const IDLE_MS = 2000;
/** Of processor time. Compiling the largest module that is allowed takes a few seconds. */
const COMPILE_SECONDS = 10;
const ENGINE_SECONDS = 20;
/** A process that gets no processor time, on a machine that stands still, is given up after so long. */
const WALL_LIMIT_MS = 300_000;
const HEAP_MIB = 256;

/** `bytes` are within the limits (module-limits.ts). Throws module-refused for what is no valid module. */
export async function tryPolicy(bytes: Uint8Array, plan: TrialPlan): Promise<TrialReport> {
  const cpuSeconds = COMPILE_SECONDS + (2 * (plan.trialLimitMs ?? TRIAL_LIMIT_MS)) / 1000;
  const what = `The policy module ${plan.name}`;
  const answer = await TRIALS.ask({
    kind: "policy",
    what,
    bytes,
    plan,
    cpuSeconds,
    memoryBytes: plan.memoryBytes ?? 0,
  });
  if (answer.kind === "report") return answer.report;
  throw refusal(answer);
}

interface EngineTrial {
  readonly bytes: Uint8Array;
  readonly inForce: Uint8Array;
  /** Whether it may do otherwise than the engine in force. */
  readonly isForced?: boolean | undefined;
  readonly cpuSeconds?: number;
}

/** The self-test. Throws module-refused. */
export async function tryEngine(trial: EngineTrial): Promise<void> {
  const { bytes, inForce, isForced = false, cpuSeconds = ENGINE_SECONDS } = trial;
  const answer = await TRIALS.ask({
    kind: "engine",
    what: "The engine module",
    bytes,
    inForce,
    isForced,
    cpuSeconds,
    memoryBytes: 0,
  });
  if (answer.kind !== "passed") throw refusal(answer);
}

/** Ends the processes; trials that are under way fail. */
export function endTrials(): void {
  TRIALS.end();
}

function refusal(answer: TrialAnswer): SapwoodError {
  if (answer.kind === "refused" || answer.kind === "died") return new SapwoodError("module-refused", answer.message);
  return new SapwoodError("internal", `A trial failed: ${answer.kind === "failed" ? answer.message : answer.kind}.`);
}

/**
 * Some processes, each of which tries one module after another until it dies of one or nobody needs it. The death of
 * one that had tried others proves nothing: what they left behind may have killed it. So the module is tried again in a
 * new process, and its death there is the module's.
 */
class TrialProcesses {
  readonly #idle = new Set<TrialProcess>();
  readonly #busy = new Set<TrialProcess>();
  readonly #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];

  async ask(request: NamedRequest): Promise<TrialAnswer> {
    while (this.#busy.size >= PROCESSES_MAX) {
      await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    }
    try {
      const used = [...this.#idle].find(({ isAlive }) => isAlive);
      if (used !== undefined) {
        const answer = await this.#askOf(used, request);
        if (answer.kind !== "died" || used.wasEnded) return answer;
      }
      return await this.#askOf(new TrialProcess((ended) => this.#idle.delete(ended)), request);
    } finally {
      this.#waiting.shift()?.resolve();
    }
  }

  async #askOf(chosen: TrialProcess, request: NamedRequest): Promise<TrialAnswer> {
    this.#idle.delete(chosen);
    this.#busy.add(chosen);
    try {
      return await chosen.ask(request);
    } finally {
      this.#busy.delete(chosen);
      if (chosen.isAlive) this.#idle.add(chosen);
    }
  }

  end(): void {
    const ended = new SapwoodError("internal", "Trials of modules were ended.");
    for (const { reject } of this.#waiting.splice(0)) reject(ended);
    for (const each of [...this.#idle, ...this.#busy]) each.end();
  }
}

class TrialProcess {
  readonly #child: ChildProcess;
  #idleTimer: NodeJS.Timeout | undefined;
  isAlive = true;
  /** By us: its time was up, or nobody needs it. */
  wasEnded = false;

  constructor(onEnd: (ended: TrialProcess) => void) {
    this.#child = fork(PROCESS, {
      execArgv: [`--max-old-space-size=${HEAP_MIB}`, "--expose-gc"],
      env: {},
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    const ended = (): void => {
      this.isAlive = false;
      clearTimeout(this.#idleTimer);
      onEnd(this);
    };
    this.#child.on("exit", ended);
    this.#child.on("error", ended); // it could not be started, or not be told something
  }

  async ask(request: NamedRequest): Promise<TrialAnswer> {
    clearTimeout(this.#idleTimer);
    const child = this.#child;
    child.ref();
    child.channel?.ref();
    const limit = setTimeout(() => this.end(), WALL_LIMIT_MS);
    try {
      return await new Promise<TrialAnswer>((resolve) => {
        const died = (code: number | null, signal: string | null): void => resolve(deathOf(request.what, code, signal));
        const failed = (error: Error): void => resolve({ kind: "failed", message: error.message });
        child.once("exit", died);
        child.once("error", failed);
        child.once("message", (answer: TrialAnswer) => {
          child.off("exit", died);
          child.off("error", failed);
          resolve(answer);
        });
        child.send(request);
      });
    } finally {
      clearTimeout(limit);
      // While idle it keeps nobody from ending.
      child.unref();
      child.channel?.unref();
      this.#idleTimer = setTimeout(() => this.end(), IDLE_MS);
      this.#idleTimer.unref();
    }
  }

  end(): void {
    this.isAlive = false;
    this.wasEnded = true;
    this.#child.kill("SIGKILL");
  }
}

/** The process did not survive. */
function deathOf(what: string, code: number | null, signal: string | null): TrialAnswer {
  if (signal === null) return { kind: "failed", message: `its process ended with status ${code}` };
  const how = signal === "SIGXCPU" ? "the processor time for its trial was up" : `by ${signal}`;
  return {
    kind: "died",
    message: `${what} ended the process in which it was tried (${how}): it takes more than a module may.`,
  };
}

const TRIALS = new TrialProcesses();
