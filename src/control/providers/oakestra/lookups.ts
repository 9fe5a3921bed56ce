// Asks the cluster for the addresses that packets of this node's workloads wait for.

import type { AskedAddress, ProviderSink } from "../provider.ts";
import type { Interests } from "./interests.ts";
import type { Jobs } from "./jobs.ts";
import { isJobName, type TableQueryResult } from "./messages.ts";
import type { Asking, Queries } from "./queries.ts";

interface LookupsOptions {
  readonly sink: ProviderSink;
  readonly queries: Queries;
  readonly jobs: Jobs;
  readonly interests: Interests;
  readonly tell: (sentence: string) => void;
}

interface Attempt {
  isUnderway: boolean;
  count: number; // of those that nobody answered
  nextMs: number;
}

/** How often the questions of the data plane are looked at. */
const LOOK_MS = 20;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 15_000;
/** Addresses whose attempts are remembered; the oldest goes. */
const ATTEMPTS_MAX = 4096;

export class Lookups {
  readonly #options: LookupsOptions;
  readonly #attempts = new Map<string, Attempt>();
  #open: ReadonlySet<string> = new Set(); // what packets waited for at the last look
  readonly #timer: NodeJS.Timeout;

  constructor(options: LookupsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** What could not be asked while the broker was away is asked at once. */
  onConnected(): void {
    this.#attempts.clear();
  }

  /** An answer to a query that was given up: it counts like any other. */
  onLate(address: string, result: TableQueryResult): Promise<void> {
    return this.#take(address, result);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const nowMs = performance.now();
    const questions = this.#options.sink.questions();
    this.#open = new Set(questions.map(({ address }) => address));
    for (const asked of questions) {
      const attempt = this.#attemptFor(asked.address);
      // Whoever calls it as well has a turn of its own.
      if (attempt.isUnderway) this.#options.queries.join({ sip: asked.address }, this.#askingFor(asked));
      else if (nowMs >= attempt.nextMs) void this.#lookUp(asked, attempt);
    }
  }

  #askingFor({ address, askers, isUrgent }: AskedAddress): Asking {
    // A job whose addresses this node had: connections may depend on it.
    const isKnown = this.#options.interests.wasKnown(address);
    return { askers, isUrgent: isUrgent || isKnown, isWanted: () => this.#open.has(address) };
  }

  async #lookUp(asked: AskedAddress, attempt: Attempt): Promise<void> {
    const { address } = asked;
    attempt.isUnderway = true;
    const result = await this.#options.queries.ask({ sip: address }, this.#askingFor(asked));
    if (result === "unanswered") {
      attempt.nextMs = performance.now() + Math.min(BACKOFF_MIN_MS * 2 ** attempt.count, BACKOFF_MAX_MS);
      attempt.count += 1;
      attempt.isUnderway = false;
      return;
    }
    if (result !== "unwanted") await this.#take(address, result);
    this.#attempts.delete(address);
  }

  /** Never rejects. */
  async #take(address: string, { app_name: job, instance_list: instances }: TableQueryResult): Promise<void> {
    const { jobs, interests, sink, tell } = this.#options;
    try {
      // The cluster notes an interest only in a job that has instances.
      if (isJobName(job) && instances.length > 0) {
        interests.hold(job);
        await jobs.put(job, instances);
      }
    } catch (error) {
      tell(`the result for ${address} could not be put in force: ${String(error)}`);
    }
    if (!jobs.hasAddress(address)) sink.refuse(address);
  }

  #attemptFor(address: string): Attempt {
    const known = this.#attempts.get(address);
    if (known !== undefined) return known;
    if (this.#attempts.size === ATTEMPTS_MAX) {
      const [oldest] = this.#attempts.keys();
      if (oldest !== undefined) this.#attempts.delete(oldest);
    }
    const attempt = { isUnderway: false, count: 0, nextMs: 0 };
    this.#attempts.set(address, attempt);
    return attempt;
  }
}
