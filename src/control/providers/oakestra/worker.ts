// All that a registered worker says to its cluster and learns from it: one MQTT session, and what depends on it.

import { SapwoodError } from "../../../base/errors.ts";
import type { ProviderReport } from "../../../model/reports.ts";
import type { Prefix } from "../../../net/address.ts";
import type { ProviderSink } from "../provider.ts";
import { Interests } from "./interests.ts";
import type { JobReaderOptions, OwnNode } from "./job-reader.ts";
import { Jobs } from "./jobs.ts";
import { JobsFile } from "./jobs-file.ts";
import { Lookups } from "./lookups.ts";
import {
  addressChangedMessage,
  type Deployed,
  deployedMessage,
  type Host,
  jobOfTopic,
  type NodeTopics,
  nodeTopics,
  Odd,
  readSubnetResult,
  subnetRequest,
  tableQuery,
} from "./messages.ts";
import type { TlsFiles } from "./netcfg.ts";
import { Queries } from "./queries.ts";
import { Session } from "./session.ts";
import { readSubnet, type Subnet } from "./subnet.ts";

interface WorkerOptions {
  readonly workerId: string;
  readonly broker: { readonly host: string; readonly port: number };
  /** Where its jobs are saved. */
  readonly stateFolder: string;
  readonly tls: TlsFiles | undefined;
  readonly sink: ProviderSink;
  readonly ranges: readonly Prefix[];
  /** Where the other nodes reach this one at this moment. */
  readonly host: () => Host;
  readonly own: OwnNode;
  readonly policyOf: JobReaderOptions["policyOf"];
  readonly isDeployed: (job: string) => boolean;
  readonly tell: (sentence: string) => void;
}

type WorkerReport = Omit<ProviderReport, "name" | "worker" | "cluster">;

/** An instance of this node that the cluster was told of and does not know yet. */
interface Unconfirmed {
  readonly deployed: Deployed;
  readonly toldMs: number;
}

/** A cluster that has just connected anew heard nothing of what was said before; it is told again until it confirms. */
const ANNOUNCE_AGAIN_MS = 5000;
const LOOK_MS = 1000;

export class Worker {
  readonly #options: WorkerOptions;
  readonly #topics: NodeTopics;
  readonly #session: Session;
  readonly #queries: Queries;
  readonly #jobs: Jobs;
  readonly #file: JobsFile;
  readonly #interests: Interests;
  readonly #unconfirmed = new Map<string, Unconfirmed>();
  readonly #announcing: NodeJS.Timeout;
  #lookups: Lookups | undefined;
  /** Asks for nothing by itself any more. */
  #isAtRest = false;
  #onSubnet: ((payload: Uint8Array) => void) | undefined;

  /** Begins to connect. Throws config-unreadable or config-invalid. */
  constructor(options: WorkerOptions) {
    const { workerId, broker, stateFolder, tls, sink, ranges, own, policyOf, isDeployed, tell } = options;
    this.#options = options;
    this.#topics = nodeTopics(workerId);
    this.#session = new Session({
      workerId,
      ...broker,
      tls,
      topics: [this.#topics.tableQueryResult, this.#topics.subnetResult],
      onMessage: (topic, payload) => this.#onMessage(topic, payload),
      onConnected: () => {
        if (this.#isAtRest) return;
        this.#interests.onConnected();
        this.#lookups?.onConnected();
      },
      onDisconnected: () => this.#queries.onDisconnected(),
      tell,
    });
    this.#queries = new Queries({
      // All of them end with the connection; an answer in the next one would be nobody's.
      send: (asked) => void this.#session.publishOnce(this.#topics.tableQuery, tableQuery(asked)),
      isConnected: () => this.#session.isConnected,
      onLate: (asked, result) => {
        if (this.#isAtRest) return;
        if ("sname" in asked) void this.#interests.onLate(asked.sname, result);
        else void this.#lookups?.onLate(asked.sip, result);
      },
      tell,
    });
    this.#jobs = new Jobs({ sink, ranges, own, policyOf, tell, onChange: () => this.#file.onChange() });
    this.#file = new JobsFile({
      ...{ folder: stateFolder, workerId, tell },
      clusterAddress: () => this.#session.host,
      jobs: () => this.#jobs.saved,
    });
    this.#interests = new Interests({
      sink,
      session: this.#session,
      topics: this.#topics,
      queries: this.#queries,
      jobs: this.#jobs,
      isDeployed,
      tell,
    });
    this.#announcing = setInterval(() => this.#announceAgain(), LOOK_MS);
    this.#announcing.unref();
  }

  get workerId(): string {
    return this.#options.workerId;
  }

  /** Name or address of the broker. */
  get clusterAddress(): string {
    return this.#session.host;
  }

  get report(): WorkerReport {
    return {
      isConnected: this.#session.isConnected,
      interests: this.#interests.held.length,
      waitingMessages: this.#session.waitingCount,
      oddRecords: this.#jobs.oddRecords,
      oddMessages: this.#queries.oddMessages,
    };
  }

  /** Finds the same cluster at another address. Throws not-running when it is not there in time, and stays as it was. */
  async moveTo(clusterAddress: string, timeoutMs: number): Promise<void> {
    await this.#session.moveTo(clusterAddress, timeoutMs);
    this.#file.write();
  }

  /** Throws not-running when the broker cannot be used in time. */
  connected(timeoutMs: number): Promise<void> {
    return this.#session.connected(timeoutMs);
  }

  /** A new subnet for this node. Throws not-running when the cluster does not answer in time, or with anything else. */
  requestSubnet(timeoutMs: number): Promise<Subnet> {
    return new Promise<Subnet>((resolve, reject) => {
      const refuse = (why: string) => reject(new SapwoodError("not-running", `The cluster gives no subnet: ${why}.`));
      const timer = setTimeout(() => refuse(`no answer within ${Math.round(timeoutMs)} ms`), timeoutMs);
      this.#onSubnet = (payload) => {
        clearTimeout(timer);
        this.#onSubnet = undefined; // nothing waits for another answer
        const result = readSubnetResult(payload);
        const subnet = result instanceof Odd ? result.sentence : readSubnet(result.address, result.addressv6);
        if (typeof subnet === "string") refuse(subnet);
        else resolve(subnet);
      };
      this.#session.publish(this.#topics.subnet, subnetRequest());
    }).finally(() => {
      this.#onSubnet = undefined;
    });
  }

  /** What a process or a worker before has saved is no more. */
  beginAnew(): void {
    this.#file.write();
  }

  /** From now on what workloads call is asked for. */
  serve(): void {
    this.#lookups ??= new Lookups({
      sink: this.#options.sink,
      queries: this.#queries,
      jobs: this.#jobs,
      interests: this.#interests,
      tell: this.#options.tell,
    });
  }

  /**
   * Says that an instance runs here and asks for its job; resolves when the tables have it, or it is clear that they
   * will not soon: the cluster is silent or does not know the instance. Then it is told again until it does.
   */
  async announce(deployed: Deployed, waitMs: number): Promise<boolean> {
    this.#tellDeployed(deployed);
    this.#interests.hold(deployed.job);
    await within(waitMs, this.#interests.refreshAnew(deployed.job));
    if (this.#isConfirmed(deployed)) this.#unconfirmed.delete(keyOf(deployed.job, deployed.number));
    return this.#jobs.hasOwn(deployed.job, deployed.number);
  }

  #announceAgain(): void {
    const nowMs = performance.now();
    for (const [key, { deployed, toldMs }] of this.#unconfirmed) {
      if (this.#isConfirmed(deployed)) this.#unconfirmed.delete(key);
      else if (this.#session.isConnected && nowMs - toldMs >= ANNOUNCE_AGAIN_MS) {
        this.#tellDeployed(deployed);
        void this.#interests.refresh(deployed.job);
      }
    }
  }

  #tellDeployed(deployed: Deployed): void {
    this.#unconfirmed.set(keyOf(deployed.job, deployed.number), { deployed, toldMs: performance.now() });
    this.#session.publish(this.#topics.deployed, deployedMessage(deployed, this.#options.host()));
  }

  /** The tables have the instance, and the cluster has said where it is. */
  #isConfirmed({ job, number, nsip }: Deployed): boolean {
    return this.#jobs.hasOwn(job, number) && this.#jobs.isKnownAt(job, number, nsip);
  }

  /**
   * Takes up what a process before knew, and the instances that it had deployed: the jobs are in force at once, and asked
   * for as soon as the broker is there. An instance that the cluster may not know is told again.
   */
  async resume(deployed: readonly Deployed[]): Promise<void> {
    await this.#jobs.restore(this.#file.read());
    for (const one of deployed) if (!this.#isConfirmed(one)) this.#tellDeployed(one);
    for (const job of new Set([...deployed.map(({ job }) => job), ...this.#jobs.names])) {
      this.#interests.hold(job);
      void this.#interests.refresh(job);
    }
  }

  /** The instance is gone; the interest in its job ends when nothing else needs it. */
  forget(job: string, number: number): Promise<void> {
    this.#unconfirmed.delete(keyOf(job, number));
    return this.#jobs.removeOwn(job, number);
  }

  /** Puts what is known in force with the policies that its addresses are bound to now. */
  bindAnew(): Promise<void> {
    return this.#jobs.bindAnew();
  }

  announceAddress(deployed: readonly Pick<Deployed, "job" | "number">[]): void {
    for (const one of deployed) {
      this.#session.publish(this.#topics.addressChanged, addressChangedMessage(one, this.#options.host()));
    }
  }

  /** Disconnects; the tables stay, and the cluster counts the worker as interested. */
  async close(): Promise<void> {
    this.#rest();
    await this.#disconnect();
  }

  /** Ends its interests at the cluster, as far as that answers in time, disconnects, and leaves nothing in the tables. */
  async leave(timeoutMs: number): Promise<void> {
    this.#rest();
    await within(timeoutMs, this.#interests.end());
    await this.#disconnect();
    await this.#jobs.remove(this.#jobs.names);
  }

  #rest(): void {
    this.#isAtRest = true;
    clearInterval(this.#announcing);
    this.#lookups?.close();
    this.#interests.close();
    this.#file.close();
  }

  async #disconnect(): Promise<void> {
    await this.#session.close();
    this.#queries.onDisconnected();
  }

  #onMessage(topic: string, payload: Uint8Array): void {
    const job = jobOfTopic(topic);
    if (job !== undefined && !this.#isAtRest) this.#interests.onUpdate(job);
    else if (topic === this.#topics.tableQueryResult) this.#queries.onResult(payload);
    else if (topic === this.#topics.subnetResult) this.#onSubnet?.(payload);
  }
}

/** Resolves when the work is done, and after `waitMs` at the latest. */
async function within(waitMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  await Promise.race([work, patience]);
  clearTimeout(timer);
}

function keyOf(job: string, number: number): string {
  return `${job} ${number}`;
}
