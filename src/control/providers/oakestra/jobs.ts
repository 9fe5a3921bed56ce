// The jobs that this node knows, as services of the tables. A job is put in force as a whole, in one generation; newer
// records win over older ones of other jobs.

import { isDeepStrictEqual } from "node:util";
import { reasonOf } from "../../../base/errors.ts";
import { Turns } from "../../../base/turns.ts";
import type { Instance, Node, Service } from "../../../model/tables.ts";
import { canonicalAddress } from "../../../net/address.ts";
import type { ProviderSink } from "../provider.ts";
import { type Job, JobReader, type JobReaderOptions } from "./job-reader.ts";
import type { InstanceRecord } from "./messages.ts";

interface JobsOptions extends Omit<JobReaderOptions, "sink" | "source"> {
  readonly sink: ProviderSink;
  /** What is to be saved is not as it was before. */
  readonly onChange: () => void;
}

/** A job as it outlives the process. */
export interface SavedJob {
  readonly name: string;
  /** As a table query has them; not looked at yet. */
  readonly instances: readonly unknown[];
}

export class Jobs {
  readonly #options: JobsOptions;
  readonly #results: JobReader;
  readonly #saved: JobReader;
  readonly #turns = new Turns();
  #jobs: ReadonlyMap<string, Job> = new Map(); // the newest last

  constructor(options: JobsOptions) {
    this.#options = options;
    this.#results = new JobReader({ ...options, source: "a table query's result" });
    this.#saved = new JobReader({ ...options, source: "the saved jobs" });
  }

  /** Parts of results that were left out. */
  get oddRecords(): number {
    return this.#results.oddRecords;
  }

  get names(): readonly string[] {
    return [...this.#jobs.keys()];
  }

  /** What `restore` takes, the oldest first. */
  get saved(): readonly SavedJob[] {
    return [...this.#jobs].map(([name, { records }]) => ({ name, instances: [...records.values()] }));
  }

  /** What the job and its instances are called at. */
  addressesOf(name: string): readonly string[] {
    const service = this.#jobs.get(name)?.service;
    return service === undefined ? [] : calledAddresses(service);
  }

  /** Whether a service or an instance has the address, in canonical text. */
  hasAddress(address: string): boolean {
    return ownersOf(this.#jobs.values()).addresses.has(address);
  }

  /** Whether the tables have the instance as one of this node. */
  hasOwn(name: string, number: number): boolean {
    const instances = this.#jobs.get(name)?.service.instances ?? [];
    return instances.some((one) => one.number === number && one.node === this.#options.sink.nodeId);
  }

  /** Whether the cluster has said that the instance is at this namespace address (IPv4). */
  isKnownAt(name: string, number: number, address: string): boolean {
    const said = this.#jobs.get(name)?.records.get(number)?.namespace_ip;
    return said !== undefined && canonicalAddress(said) === address;
  }

  /** Makes the instances of a result those of the job. Instances of this node that it lacks stay. */
  put(name: string, instances: readonly unknown[]): Promise<void> {
    return this.#turns.take(() => this.#putAll([{ name, instances }], this.#results));
  }

  /** Puts jobs that a process before knew in force, in one generation. What cannot be is left out and told. */
  restore(saved: readonly SavedJob[]): Promise<void> {
    return this.#turns.take(async () => {
      if (saved.length === 0) return;
      try {
        await this.#putAll(saved, this.#saved);
      } catch {
        for (const one of saved) {
          await this.#putAll([one], this.#saved).catch((error: unknown) => {
            this.#options.tell(`the saved job ${one.name} is not in force: ${reasonOf(error)}`);
          });
        }
      }
    });
  }

  /** Puts all jobs in force anew, in one generation: their addresses are bound to other policies now. */
  bindAnew(): Promise<void> {
    return this.#turns.take(() => this.#putAll(this.saved, this.#saved));
  }

  /** Takes an instance of this node out. */
  removeOwn(name: string, number: number): Promise<void> {
    return this.#turns.take(() => {
      const job = this.#jobs.get(name);
      const gone = (one: Instance) => one.number === number && one.node === this.#options.sink.nodeId;
      if (job === undefined || !job.service.instances.some(gone)) return Promise.resolve();
      const changed = new Map(this.#jobs).set(
        name,
        withInstances(job, (one) => !gone(one)),
      );
      return this.#putInForce(changed, [name], []);
    });
  }

  remove(names: readonly string[]): Promise<void> {
    return this.#turns.take(() => {
      const known = names.filter((name) => this.#jobs.has(name));
      const changed = new Map(this.#jobs);
      for (const name of known) changed.delete(name);
      return known.length === 0 ? Promise.resolve() : this.#putInForce(changed, [], known);
    });
  }

  async #putAll(lists: readonly SavedJob[], reader: JobReader): Promise<void> {
    const jobs = new Map(this.#jobs);
    const owners = ownersOf(jobs.values());
    const set = new Set<string>();
    for (const { name, instances } of lists) {
      const job = this.#withOwn(reader.read(name, instances), jobs.get(name));
      for (const [other, rest] of withoutWhatMoved(jobs, owners, job.service)) {
        this.#options.tell(`withdrawn from ${other}, because ${name} has it now: ${lostText(jobs.get(other), rest)}`);
        jobs.set(other, rest);
        set.add(other);
      }
      jobs.delete(name);
      jobs.set(name, job);
      set.add(name);
      addOwner(owners, job.service);
    }
    await this.#putInForce(jobs, [...set], []);
  }

  async #putInForce(jobs: ReadonlyMap<string, Job>, set: readonly string[], removed: readonly string[]): Promise<void> {
    const nodes = new Map([...jobs.values()].flatMap((job) => [...job.nodes]));
    const before = new Map([...this.#jobs.values()].flatMap((job) => [...job.nodes]));
    await this.#options.sink.merge({
      nodes: [...nodes].flatMap(([id, node]) => (before.has(id) ? [] : [node])),
      services: set.flatMap((name) => jobs.get(name)?.service ?? []),
      remove: { nodes: [...before.keys()].filter((id) => !nodes.has(id)), services: removed },
    });
    const recordsOf = (name: string, of: ReadonlyMap<string, Job>) => of.get(name)?.records;
    const isChanged = [...set, ...removed].some((name) => {
      return !isDeepStrictEqual(recordsOf(name, jobs), recordsOf(name, this.#jobs));
    });
    this.#jobs = jobs;
    if (isChanged) this.#options.onChange();
  }

  /** The cluster may not have heard yet of instances of this node that were known already. */
  #withOwn(job: Job, before: Job | undefined): Job {
    const { sink, own } = this.#options;
    const { name, addresses, instances } = job.service;
    const kept = (before?.service.instances ?? []).filter(({ number, node }) => {
      const isListed = instances.some((one) => one.number === number);
      return node === sink.nodeId && !isListed && own.find(name, number) !== undefined;
    });
    if (before === undefined || kept.length === 0) return job;
    const records = new Map<number, InstanceRecord>(job.records);
    for (const { number } of kept) {
      const record = before.records.get(number);
      if (record !== undefined) records.set(number, record);
    }
    const service = {
      name,
      addresses: addresses.length > 0 ? addresses : before.service.addresses,
      instances: [...instances, ...kept],
    };
    return { ...job, service, records };
  }
}

/** Names of jobs by what they have. */
interface Owners {
  readonly addresses: Map<string, string>; // that are called
  readonly namespaces: Map<string, string>;
}

function ownersOf(jobs: Iterable<Job>): Owners {
  const owners = { addresses: new Map<string, string>(), namespaces: new Map<string, string>() };
  for (const { service } of jobs) addOwner(owners, service);
  return owners;
}

function addOwner({ addresses, namespaces }: Owners, service: Service): void {
  for (const address of calledAddresses(service)) addresses.set(address, service.name);
  for (const instance of service.instances) {
    for (const address of instance.namespaceAddresses) namespaces.set(address, service.name);
  }
}

/** Other jobs without what the service has now. */
function withoutWhatMoved(jobs: ReadonlyMap<string, Job>, owners: Owners, service: Service): Map<string, Job> {
  const namespaces = new Set(service.instances.flatMap((one) => one.namespaceAddresses));
  const called = new Set(calledAddresses(service));
  const touched = new Set([
    ...[...namespaces].flatMap((address) => owners.namespaces.get(address) ?? []),
    ...[...called].flatMap((address) => owners.addresses.get(address) ?? []),
  ]);
  touched.delete(service.name);
  const others = new Map<string, Job>();
  for (const other of touched) {
    const job = jobs.get(other);
    if (job === undefined) continue;
    const rest = withInstances(job, ({ namespaceAddresses, instanceAddresses }) => {
      const isTaken = namespaceAddresses.some((one) => namespaces.has(one));
      return !isTaken && !instanceAddresses.some((one) => called.has(one));
    });
    const addresses = job.service.addresses.filter(({ address }) => !called.has(address));
    others.set(other, { ...rest, service: { ...rest.service, addresses } });
  }
  return others;
}

/** The job without the instances that do not stay, and what belongs to them. */
function withInstances({ service, nodes, records }: Job, stays: (instance: Instance) => boolean): Job {
  const instances = service.instances.filter(stays);
  const used = new Set(instances.map(({ node }) => node));
  const numbers = new Set(instances.map(({ number }) => number));
  return {
    service: { ...service, instances },
    nodes: new Map<string, Node>([...nodes].filter(([id]) => used.has(id))),
    records: new Map([...records].filter(([number]) => numbers.has(number))),
  };
}

/** What a job has no more. */
function lostText(before: Job | undefined, { service }: Job): string {
  const addresses = new Set(service.addresses.map(({ address }) => address));
  const numbers = new Set(service.instances.map(({ number }) => number));
  return [
    ...(before?.service.instances ?? []).flatMap(({ number }) => (numbers.has(number) ? [] : `instance ${number}`)),
    ...(before?.service.addresses ?? []).flatMap(({ address }) => (addresses.has(address) ? [] : address)),
  ].join(", ");
}

function calledAddresses({ addresses, instances }: Service): string[] {
  return [...addresses.map(({ address }) => address), ...instances.flatMap((one) => one.instanceAddresses)];
}
