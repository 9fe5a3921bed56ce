// The jobs whose changes this node hears of: as long as an instance runs here, or a flow leads to one. The cluster
// counts a node as interested from a table query on, until interest/remove, which must come from a node that it counts:
// a cluster that began anew has forgotten all of them and would fail. So the job is asked for once more right before.

import type { ProviderSink } from "../provider.ts";
import type { Jobs } from "./jobs.ts";
import { interestRemoveMessage, jobTopic, type NodeTopics } from "./messages.ts";
import type { Queries, QueryOutcome } from "./queries.ts";
import type { Session } from "./session.ts";

interface InterestsOptions {
  readonly sink: ProviderSink;
  readonly session: Pick<Session, "subscribe" | "unsubscribe" | "publish">;
  readonly topics: NodeTopics;
  readonly queries: Queries;
  readonly jobs: Jobs;
  /** Whether an instance of the job runs on this node. */
  readonly isDeployed: (job: string) => boolean;
  readonly tell: (sentence: string) => void;
  readonly idleMs?: number;
  readonly refreshMs?: number;
}

interface Interest {
  usedMs: number; // when it was last seen in use
  refreshedMs: number;
  /** Of a refresh that failed. */
  retryMs: number | undefined;
  refreshing: Promise<QueryOutcome> | undefined;
  isStale: boolean; // changed while it was asked for
  isEnding: boolean;
}

const LOOK_MS = 500;
const IDLE_MS = 10_000;
const REFRESH_MS = 60_000;
const RETRY_MS = 2000;
/** Addresses of jobs that were given up, so that they are asked for with priority. */
const REMEMBERED_MAX = 8192;

export class Interests {
  readonly #options: InterestsOptions;
  readonly #interests = new Map<string, Interest>();
  readonly #formerAddresses = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: InterestsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  get held(): readonly string[] {
    return [...this.#interests.keys()];
  }

  hold(job: string): void {
    const nowMs = performance.now();
    const known = this.#interests.get(job);
    if (known !== undefined) {
      known.usedMs = nowMs;
      return;
    }
    const fresh = { retryMs: undefined, refreshing: undefined, isStale: false, isEnding: false };
    this.#interests.set(job, { ...fresh, usedMs: nowMs, refreshedMs: nowMs });
    this.#options.session.subscribe(jobTopic(job));
  }

  /** Whether the address was that of a job which was given up. */
  wasKnown(address: string): boolean {
    return this.#formerAddresses.has(address);
  }

  /** The job changed: what is known of it is replaced as soon as the cluster has answered. */
  onUpdate(job: string): void {
    const interest = this.#interests.get(job);
    if (interest === undefined) return;
    interest.isStale = interest.refreshing !== undefined;
    void this.refresh(job);
  }

  /** Updates may have been missed. */
  onConnected(): void {
    for (const job of this.#interests.keys()) void this.refresh(job);
  }

  /** Asks for a job that is held and puts it in force; never rejects. */
  refresh(job: string): Promise<QueryOutcome> {
    const interest = this.#interests.get(job);
    if (interest === undefined) return Promise.resolve("unanswered");
    interest.refreshing ??= this.#ask(job, interest).finally(() => {
      interest.refreshing = undefined;
      if (!interest.isStale) return;
      interest.isStale = false;
      void this.refresh(job);
    });
    return interest.refreshing;
  }

  /** The same, by a query that is sent from now on. */
  async refreshAnew(job: string): Promise<QueryOutcome> {
    await this.#interests.get(job)?.refreshing;
    return this.refresh(job);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #ask(job: string, interest: Interest): Promise<QueryOutcome> {
    const { jobs, tell } = this.#options;
    const result = await this.#query(job, interest);
    if (result === "unanswered") return result;
    try {
      await jobs.put(job, result.instance_list);
    } catch (error) {
      tell(`the job ${job} stays as it was: ${String(error)}`);
    }
    return result;
  }

  async #query(job: string, interest: Interest): Promise<QueryOutcome> {
    const result = await this.#options.queries.ask({ sname: job }, true);
    const nowMs = performance.now();
    interest.retryMs = result === "unanswered" ? nowMs + RETRY_MS : undefined;
    if (result !== "unanswered") interest.refreshedMs = nowMs;
    return result;
  }

  #look(): void {
    const { sink, isDeployed, idleMs = IDLE_MS, refreshMs = REFRESH_MS } = this.#options;
    const nowMs = performance.now();
    const isOver = ({ usedMs }: Interest) => nowMs - usedMs >= idleMs;
    // Flows are looked at only when it matters.
    const inUse = [...this.#interests.values()].some(isOver) ? sink.servicesInUse() : new Set<string>();
    for (const [job, interest] of this.#interests) {
      if (isDeployed(job) || inUse.has(job)) interest.usedMs = nowMs;
      const isIdle = isOver(interest);
      const isRetryDue = interest.retryMs !== undefined && nowMs >= interest.retryMs;
      if (isIdle && (interest.retryMs === undefined || isRetryDue)) void this.#end(job, interest);
      else if (isRetryDue || nowMs - interest.refreshedMs >= refreshMs) void this.refresh(job);
    }
  }

  async #end(job: string, interest: Interest): Promise<void> {
    if (interest.isEnding) return;
    interest.isEnding = true;
    const { session, topics, jobs, sink, isDeployed, tell } = this.#options;
    try {
      const result = await this.#query(job, interest);
      // What follows is said at once: the cluster may begin anew at any moment.
      if (result === "unanswered" || isDeployed(job) || sink.servicesInUse().has(job)) return;
      session.publish(topics.interestRemove, interestRemoveMessage(job));
      session.unsubscribe(jobTopic(job));
      this.#interests.delete(job);
      this.#remember(jobs.addressesOf(job));
      await jobs.remove([job]);
    } catch (error) {
      tell(`the job ${job} could not be given up: ${String(error)}`);
    } finally {
      interest.isEnding = false;
    }
  }

  #remember(addresses: readonly string[]): void {
    for (const address of addresses) {
      this.#formerAddresses.delete(address);
      this.#formerAddresses.add(address);
    }
    for (const address of this.#formerAddresses) {
      if (this.#formerAddresses.size <= REMEMBERED_MAX) break;
      this.#formerAddresses.delete(address);
    }
  }
}
