// The jobs that this node knows, as services of the tables. A job is put in force as a whole, in one generation; what
// is odd in a result is left out and told, and the rest of it counts. Newer records win over older ones of other jobs.

import { Turns } from "../../../base/turns.ts";
import { policyName } from "../../../model/policy-names.ts";
import type { Instance, Node, Service } from "../../../model/tables.ts";
import { contains, formatAddress, type Prefix, parseAddress, unusableRange } from "../../../net/address.ts";
import type { ProviderSink } from "../provider.ts";
import { type InstanceRecord, Odd, readInstanceRecord, readServiceAddress } from "./messages.ts";
import type { AddressPair } from "./subnet.ts";

/** What runs on this node. */
export interface OwnNode {
  /** Namespace addresses of an instance that runs here. */
  find(job: string, number: number): AddressPair | undefined;
  /** Whether a tunnel or a namespace address is this node's. */
  isOwnTunnel(address: string, port: number): boolean;
  isOwnNamespace(address: string): boolean;
}

export interface JobsOptions {
  readonly sink: ProviderSink;
  readonly ranges: readonly Prefix[];
  readonly own: OwnNode;
  /** What the operator binds a round-robin address of a job to. */
  readonly policyOf: (job: string, address: string) => string | undefined;
  /** Is told of each odd record, one sentence each. */
  readonly tell: (sentence: string) => void;
}

interface Job {
  readonly service: Service;
  readonly nodes: ReadonlyMap<string, Node>; // by id, of its instances
}

/** Go nodes send from any port, and from another address than the advertised one where there are several. */
const ACCEPT = { anyPort: false, addresses: [], anyAddress: true, unknownSources: true };
const INSTANCE_TYPES: readonly string[] = ["instance_ip", "InstanceNumber"];
const ROUND_ROBIN = policyName("RR");
const PORT_MAX = 65_535;
const NUMBER_MAX = 0xffff_ffff;

export class Jobs {
  readonly #options: JobsOptions;
  readonly #turns = new Turns();
  #jobs: ReadonlyMap<string, Job> = new Map();
  #oddRecords = 0;

  constructor(options: JobsOptions) {
    this.#options = options;
  }

  /** Parts of results that were left out. */
  get oddRecords(): number {
    return this.#oddRecords;
  }

  get names(): readonly string[] {
    return [...this.#jobs.keys()];
  }

  /** What the job and its instances are called at. */
  addressesOf(name: string): readonly string[] {
    const service = this.#jobs.get(name)?.service;
    return service === undefined ? [] : calledAddresses(service);
  }

  /** Whether a service or an instance has the address, in canonical text. */
  hasAddress(address: string): boolean {
    return this.#owners().addresses.has(address);
  }

  /** Whether the tables have the instance as one of this node. */
  hasOwn(name: string, number: number): boolean {
    const instances = this.#jobs.get(name)?.service.instances ?? [];
    return instances.some((one) => one.number === number && one.node === this.#options.sink.nodeId);
  }

  /** Makes the instances of a result those of the job. Instances of this node that it lacks stay. */
  put(name: string, instances: readonly unknown[]): Promise<void> {
    return this.#turns.take(() => {
      const job = this.#withOwn(name, this.#read(name, instances));
      const changed = new Map(this.#jobs);
      const others = this.#withoutWhatMoved(name, job.service);
      for (const [other, rest] of others) changed.set(other, rest);
      changed.set(name, job);
      return this.#putInForce(changed, [name, ...others.keys()], []);
    });
  }

  /** Takes an instance of this node out. */
  removeOwn(name: string, number: number): Promise<void> {
    return this.#turns.take(() => {
      const job = this.#jobs.get(name);
      const gone = (one: Instance) => one.number === number && one.node === this.#options.sink.nodeId;
      if (job === undefined || !job.service.instances.some(gone)) return Promise.resolve();
      const instances = job.service.instances.filter((one) => !gone(one));
      const changed = new Map(this.#jobs).set(name, { ...job, service: { ...job.service, instances } });
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

  async #putInForce(jobs: ReadonlyMap<string, Job>, set: readonly string[], removed: readonly string[]): Promise<void> {
    const nodes = new Map([...jobs.values()].flatMap((job) => [...job.nodes]));
    const before = new Map([...this.#jobs.values()].flatMap((job) => [...job.nodes]));
    await this.#options.sink.merge({
      nodes: [...nodes].flatMap(([id, node]) => (before.has(id) ? [] : [node])),
      services: set.flatMap((name) => jobs.get(name)?.service ?? []),
      remove: { nodes: [...before.keys()].filter((id) => !nodes.has(id)), services: removed },
    });
    this.#jobs = jobs;
  }

  #read(name: string, records: readonly unknown[]): Job {
    const instances = new Map<number, Instance>();
    const nodes = new Map<string, Node>();
    const addresses = new Map<string, string>(); // policy by address
    const owners = new Map<string, number>(); // instance by address
    for (const value of records) {
      const read = readInstanceRecord(value);
      if (read instanceof Odd) {
        this.#odd(`an instance of ${name}: ${read.sentence}`);
        continue;
      }
      const own = this.#readAddresses(name, read, addresses);
      const placed = this.#place(name, read, own);
      if (placed === undefined) continue;
      const { instance, node } = placed;
      const all = [...instance.namespaceAddresses, ...instance.instanceAddresses];
      for (const older of new Set(all.flatMap((address) => owners.get(address) ?? []))) {
        this.#odd(`instance ${older} of ${name} has an address that instance ${instance.number} has as well`);
        instances.delete(older);
      }
      if (instances.has(instance.number)) this.#odd(`instance ${instance.number} of ${name} is there twice`);
      for (const address of all) owners.set(address, instance.number);
      instances.set(instance.number, instance);
      if (node !== undefined) nodes.set(node.id, node);
    }
    for (const [address] of addresses) {
      if (!owners.has(address)) continue;
      this.#odd(`${address} of ${name} is the address of an instance as well as a service address`);
      addresses.delete(address);
    }
    const used = new Set([...instances.values()].map(({ node }) => node));
    return {
      service: {
        name,
        addresses: [...addresses].map(([address, policy]) => ({ address, policy })),
        instances: [...instances.values()],
      },
      nodes: new Map([...nodes].filter(([id]) => used.has(id))),
    };
  }

  /** The instance's own addresses; those of the service go to `addresses`. */
  #readAddresses(name: string, record: InstanceRecord, addresses: Map<string, string>): string[] {
    const own: string[] = [];
    for (const value of record.service_ip) {
      const read = readServiceAddress(value);
      if (read instanceof Odd) {
        this.#odd(`an address of ${name}: ${read.sentence}`);
        continue;
      }
      const isInstance = INSTANCE_TYPES.includes(read.IpType);
      const policy = policyName(read.IpType);
      if (!isInstance && !this.#options.sink.policies().includes(policy)) {
        this.#odd(`${read.Address} of ${name} has the unknown policy ${JSON.stringify(read.IpType)}`);
        continue;
      }
      for (const text of [read.Address, read.Address_v6]) {
        const address = this.#inRanges(name, text);
        if (address === undefined) continue;
        if (isInstance) own.push(address);
        else addresses.set(address, policy === ROUND_ROBIN ? this.#bound(name, address) : policy);
      }
    }
    if (own.length > 0) return own;
    return [record.instance_ip, record.instance_ip_v6].flatMap((text) => this.#inRanges(name, text) ?? []);
  }

  /** The policy of a round-robin address: Oakestra hands out no others, so that the operator may say what it is. */
  #bound(name: string, address: string): string {
    const policy = this.#options.policyOf(name, address) ?? ROUND_ROBIN;
    if (this.#options.sink.policies().includes(policy)) return policy;
    this.#options.tell(
      `${address} of ${name} is bound to the policy ${policy}, which this node does not have; it is ${ROUND_ROBIN}`,
    );
    return ROUND_ROBIN;
  }

  #inRanges(name: string, text: string): string | undefined {
    if (text === "") return undefined;
    const bytes = parseAddress(text);
    if (bytes !== undefined && this.#options.ranges.some((range) => contains(range, bytes)))
      return formatAddress(bytes);
    this.#odd(`${JSON.stringify(text)} of ${name} is no address of a service range`);
    return undefined;
  }

  /** The instance and its node, undefined for this one; or undefined when it cannot be called. */
  #place(
    name: string,
    record: InstanceRecord,
    own: readonly string[],
  ): { readonly instance: Instance; readonly node: Node | undefined } | undefined {
    const { sink, own: ownNode } = this.#options;
    const { instance_number: number, host_ip: host, host_port: port } = record;
    const local = ownNode.find(name, number);
    if (local === undefined && [record.namespace_ip, record.namespace_ip_v6, host].every((text) => text === "")) {
      return undefined; // not deployed yet
    }
    const here = `instance ${number} of ${name}`;
    const texts = local === undefined ? [record.namespace_ip, record.namespace_ip_v6] : [local.v4, local.v6];
    const namespaces = texts.flatMap((text) => this.#namespaceAddress(text) ?? []);
    // What a workload sends needs a source, so that a family without an instance address has no use.
    const usable = namespaces.filter((one) => own.some((other) => other.includes(":") === one.includes(":")));
    const instanceAddresses = [false, true].flatMap((isV6) => own.find((one) => one.includes(":") === isV6) ?? []);
    const instance = { number, namespaceAddresses: usable, instanceAddresses, weight: 1, draining: false };
    if (number > NUMBER_MAX) return this.#odd(`${here}: expected a number below 2^32`);
    if (usable.length === 0) return this.#odd(`${here}: expected a namespace address and an instance address`);
    if (local !== undefined) return { instance: { ...instance, node: sink.nodeId }, node: undefined };
    const bytes = parseAddress(host);
    const isInRange = bytes !== undefined && this.#options.ranges.some((range) => contains(range, bytes));
    if (bytes === undefined || isInRange || unusableRange(bytes) !== undefined || port < 1 || port > PORT_MAX) {
      return this.#odd(`${here}: expected the address and port of a node, found ${JSON.stringify(`${host} ${port}`)}`);
    }
    const address = formatAddress(bytes);
    // The cluster does not know yet that it does not run here any more.
    if (ownNode.isOwnTunnel(address, port) || usable.some((one) => ownNode.isOwnNamespace(one))) return undefined;
    const id = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    return { instance: { ...instance, node: id }, node: { id, underlay: { address, port }, accept: ACCEPT } };
  }

  #namespaceAddress(text: string): string | undefined {
    const bytes = parseAddress(text);
    if (bytes === undefined || unusableRange(bytes) !== undefined) return undefined;
    return this.#options.ranges.some((range) => contains(range, bytes)) ? undefined : formatAddress(bytes);
  }

  /** The cluster may not have heard yet of instances of this node that were known already. */
  #withOwn(name: string, job: Job): Job {
    const { sink, own } = this.#options;
    const kept = (this.#jobs.get(name)?.service.instances ?? []).filter(({ number, node }) => {
      const isListed = job.service.instances.some((one) => one.number === number);
      return node === sink.nodeId && !isListed && own.find(name, number) !== undefined;
    });
    if (kept.length === 0) return job;
    const before = this.#jobs.get(name)?.service.addresses ?? [];
    const { addresses, instances } = job.service;
    const service = { name, addresses: addresses.length > 0 ? addresses : before, instances: [...instances, ...kept] };
    return { ...job, service };
  }

  /** Other jobs without what the service has now: the newer record counts. */
  #withoutWhatMoved(name: string, service: Service): Map<string, Job> {
    const owners = this.#owners();
    const namespaces = new Set(service.instances.flatMap((one) => one.namespaceAddresses));
    const called = new Set(calledAddresses(service));
    const touched = new Set([
      ...[...namespaces].flatMap((address) => owners.namespaces.get(address) ?? []),
      ...[...called].flatMap((address) => owners.addresses.get(address) ?? []),
    ]);
    touched.delete(name);
    const others = new Map<string, Job>();
    for (const other of touched) {
      const job = this.#jobs.get(other);
      if (job === undefined) continue;
      this.#odd(`${name} has addresses that ${other} had`);
      const instances = job.service.instances.filter(({ namespaceAddresses, instanceAddresses }) => {
        const isTaken = namespaceAddresses.some((one) => namespaces.has(one));
        return !isTaken && !instanceAddresses.some((one) => called.has(one));
      });
      const used = new Set(instances.map(({ node }) => node));
      others.set(other, {
        service: {
          name: other,
          addresses: job.service.addresses.filter(({ address }) => !called.has(address)),
          instances,
        },
        nodes: new Map([...job.nodes].filter(([id]) => used.has(id))),
      });
    }
    return others;
  }

  /** Which job has which address. */
  #owners(): { readonly addresses: Map<string, string>; readonly namespaces: Map<string, string> } {
    const addresses = new Map<string, string>();
    const namespaces = new Map<string, string>();
    for (const [name, { service }] of this.#jobs) {
      for (const address of calledAddresses(service)) addresses.set(address, name);
      for (const instance of service.instances) {
        for (const address of instance.namespaceAddresses) namespaces.set(address, name);
      }
    }
    return { addresses, namespaces };
  }

  #odd(sentence: string): undefined {
    this.#oddRecords += 1;
    this.#options.tell(`left out of a table query's result: ${sentence}`);
    return undefined;
  }
}

function calledAddresses({ addresses, instances }: Service): string[] {
  return [...addresses.map(({ address }) => address), ...instances.flatMap((one) => one.instanceAddresses)];
}
