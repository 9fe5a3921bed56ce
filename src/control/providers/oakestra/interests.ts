// The jobs whose changes this node hears of: as long as an instance runs here, or a flow leads to one. The cluster
// counts a node as interested from a table query on, until interest/remove, which must come from a node that it counts:
// a cluster that began anew has forgotten all of them and would fail. So the job is asked for once more right before, by
// its name; what the cluster does not know then is given up in silence. The removal is said in the connection of that
// answer alone, and if that ends first, all of it is done anew in the next one.

import type { ProviderSink } from "../provider.ts";
import type { Jobs } from "./jobs.ts";
import { interestRemoveMessage, jobTopic, type NodeTopics, type TableQueryResult } from "./messages.ts";
import type { Asking, Queries, QueryOutcome } from "./queries.ts";
import type { Session } from "./session.ts";

interface InterestsOptions {
  readonly sink: ProviderSink;
  readonly session: Pick<Session, "subscribe" | "unsubscribe" | "publishOnce">;
  readonly topics: NodeTopics;
  readonly queries: Queries;
  readonly jobs: Jobs;
  /** Whether an instance of the job runs on this node. */
  readonly isDeployed: (job: string) => boolean;
  readonly tell: (sentence: string) => void;
}

interface Interest {
  usedMs: number; // when it was last seen in use
  refreshedMs: number;
  /** Of a refresh that failed. */
  retryMs: number | undefined;
  refreshing: Promise<QueryOutcome> | undefined;
  isStale: boolean; // changed while it was asked for
  isAsked: boolean; // by name, since it was taken
  address: string | undefined; // one that the job had
}

/** What the NodeEngine waits for has a turn of its own: after each connection all held jobs are asked for. */
const AWAITED: Asking = { isUrgent: true, askers: [-1] };
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
  #isEnding = false;

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
    const fresh = { retryMs: undefined, refreshing: undefined, isStale: false, isAsked: false, address: undefined };
    const interest = { ...fresh, usedMs: nowMs, refreshedMs: nowMs };
    this.#interests.set(job, interest);
    void this.#subscribe(job, interest);
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
    for (const job of this.#interests.keys()) this.onUpdate(job);
  }

  /** An answer to a query that was given up: it counts like any other. */
  async onLate(job: string, result: TableQueryResult): Promise<void> {
    const interest = this.#interests.get(job);
    if (interest === undefined) return;
    // A job that is asked for again is given up with that answer at the earliest: the query obtains an interest anew.
    if (interest.refreshing !== undefined) return this.#put(job, interest, result);
    await this.#refreshBy(job, interest, async () => {
      await this.#take(job, interest, result);
      return result;
    });
  }

  /** Asks for a job that is held and puts it in force; never rejects. */
  refresh(job: string, asking?: Asking): Promise<QueryOutcome> {
    const interest = this.#interests.get(job);
    if (interest === undefined) return Promise.resolve("unanswered");
    return interest.refreshing ?? this.#refreshBy(job, interest, () => this.#ask(job, interest, asking));
  }

  /** The same, by a query that is sent from now on, before those that nobody waits for. */
  async refreshAnew(job: string): Promise<QueryOutcome> {
    this.#options.queries.join({ sname: job }, AWAITED);
    await this.#interests.get(job)?.refreshing;
    return this.refresh(job, AWAITED);
  }

  /** Gives all of them up, whoever uses them; resolves when they are, or it is clear that the cluster does not answer. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.held.map((job) => this.refreshAnew(job)));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /**
   * The answer that an interest is taken for comes before its subscription. What changes between the two is told to
   * nobody here, so the job is asked for once more, unless it was already.
   */
  async #subscribe(job: string, interest: Interest): Promise<void> {
    const isSubscribed = await this.#options.session.subscribe(jobTopic(job));
    if (isSubscribed && !interest.isAsked && this.#interests.get(job) === interest) void this.refresh(job);
  }

  #refreshBy(job: string, interest: Interest, work: () => Promise<QueryOutcome>): Promise<QueryOutcome> {
    interest.refreshing = work().finally(() => {
      interest.refreshing = undefined;
      if (!interest.isStale) return;
      interest.isStale = false;
      void this.refresh(job);
    });
    return interest.refreshing;
  }

  async #ask(job: string, interest: Interest, asking?: Asking): Promise<QueryOutcome> {
    interest.isAsked = true;
    const result = await this.#options.queries.ask({ sname: job }, asking);
    if (typeof result === "string") interest.retryMs = performance.now() + RETRY_MS;
    else await this.#take(job, interest, result);
    return result;
  }

  async #take(job: string, interest: Interest, result: TableQueryResult): Promise<void> {
    interest.retryMs = undefined;
    interest.refreshedMs = performance.now();
    if (this.#isOver(job, interest)) await this.#giveUp(job, interest, result);
    else await this.#put(job, interest, result);
  }

  async #put(job: string, interest: Interest, result: TableQueryResult): Promise<void> {
    const { jobs, tell } = this.#options;
    interest.address = jobs.addressesOf(job)[0] ?? interest.address;
    try {
      await jobs.put(job, result.instance_list);
    } catch (error) {
      tell(`the job ${job} stays as it was: ${String(error)}`);
    }
  }

  #look(): void {
    const { sink, isDeployed } = this.#options;
    const nowMs = performance.now();
    // Flows are looked at only when it matters.
    const isAnyIdle = [...this.#interests.values()].some((interest) => this.#isIdle(interest));
    const inUse = isAnyIdle ? sink.servicesInUse() : new Set<string>();
    for (const [job, interest] of this.#interests) {
      if (isDeployed(job) || inUse.has(job)) interest.usedMs = nowMs;
      const isDue = this.#isIdle(interest) || nowMs - interest.refreshedMs >= REFRESH_MS;
      if (interest.retryMs === undefined ? isDue : nowMs >= interest.retryMs) void this.refresh(job);
    }
  }

  #isIdle({ usedMs }: Interest): boolean {
    return performance.now() - usedMs >= IDLE_MS;
  }

  #isInUse(job: string): boolean {
    const { sink, isDeployed } = this.#options;
    return isDeployed(job) || sink.servicesInUse().has(job);
  }

  /** Nobody needs it any more. */
  #isOver(job: string, interest: Interest): boolean {
    return this.#isEnding || (this.#isIdle(interest) && !this.#isInUse(job));
  }

  /** Right behind the answer to a query, because the cluster may begin anew at any moment. */
  async #giveUp(job: string, interest: Interest, result: TableQueryResult): Promise<void> {
    const { session, topics, jobs, tell } = this.#options;
    const isCounted = await this.#isCounted(job, interest, result);
    const isEnded = isCounted && (await session.publishOnce(topics.interestRemove, interestRemoveMessage(job)));
    if (isCounted !== isEnded || isCounted === undefined) {
      interest.retryMs = performance.now() + RETRY_MS;
      return;
    }
    if (!this.#isOver(job, interest)) {
      interest.isStale = true; // taken again meanwhile: the next query obtains it anew
      return;
    }
    session.unsubscribe(jobTopic(job));
    this.#interests.delete(job);
    this.#remember(jobs.addressesOf(job));
    try {
      await jobs.remove([job]);
    } catch (error) {
      tell(`the job ${job} could not be given up: ${String(error)}`);
    }
  }

  /**
   * Whether the cluster counts this node since the answer: it does if it knows the job. An empty answer to a name does
   * not say whether it does, one to an address of the job says so. Undefined when nobody answers.
   */
  async #isCounted(job: string, interest: Interest, result: TableQueryResult): Promise<boolean | undefined> {
    if (result.instance_list.length > 0) return true;
    const address = this.#options.jobs.addressesOf(job)[0] ?? interest.address;
    if (address === undefined) return false;
    const answer = await this.#options.queries.ask({ sip: address });
    return typeof answer === "string" ? undefined : answer.app_name === job;
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
