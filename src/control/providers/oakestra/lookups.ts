// Asks the cluster for the addresses that packets of this node's workloads wait for.

import type { AskedAddress, ProviderSink } from "../provider.ts";
import type { Interests } from "./interests.ts";
import type { Jobs } from "./jobs.ts";
import { isJobName } from "./messages.ts";
import type { Queries } from "./queries.ts";

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
  readonly #timer: NodeJS.Timeout;

  constructor(options: LookupsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const nowMs = performance.now();
    for (const asked of this.#options.sink.questions()) {
      const attempt = this.#attemptFor(asked.address);
      if (attempt.isUnderway || nowMs < attempt.nextMs) continue;
      attempt.isUnderway = true;
      this.#lookUp(asked, attempt)
        .catch((error: unknown) => {
          this.#options.tell(`the result for ${asked.address} could not be put in force: ${String(error)}`);
          this.#options.sink.refuse(asked.address);
        })
        .finally(() => {
          attempt.isUnderway = false;
        });
    }
  }

  async #lookUp({ address, asker }: AskedAddress, attempt: Attempt): Promise<void> {
    const { queries, jobs, interests, sink } = this.#options;
    // A job whose addresses this node had: connections may depend on it.
    const isUrgent = interests.wasKnown(address);
    const result = await queries.ask({ sip: address }, isUrgent, asker);
    if (result === "unanswered") {
      attempt.nextMs = performance.now() + Math.min(BACKOFF_MIN_MS * 2 ** attempt.count, BACKOFF_MAX_MS);
      attempt.count += 1;
      return;
    }
    this.#attempts.delete(address);
    const { app_name: job, instance_list: instances } = result;
    // The cluster notes an interest only in a job that has instances.
    if (isJobName(job) && instances.length > 0) {
      interests.hold(job);
      await jobs.put(job, instances);
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
