// What a table query's result, or a saved one, says of a job, as a service of the tables. What is odd in it is left out
// and told, and the rest of it counts.

import { shortText, valueText } from "../../../base/issues.ts";
import { policyName } from "../../../model/policy-names.ts";
import type { Instance, Node, Service } from "../../../model/tables.ts";
import { contains, formatAddress, type Prefix, parseAddress, unusableRange } from "../../../net/address.ts";
import type { ProviderSink } from "../provider.ts";
import {
  type InstanceRecord,
  Odd,
  readInstanceRecord,
  readServiceAddress,
  type ServiceAddressRecord,
} from "./messages.ts";
import type { AddressPair } from "./subnet.ts";

/** What runs on this node. */
export interface OwnNode {
  /** Namespace addresses of an instance that runs here. */
  find(job: string, number: number): AddressPair | undefined;
  /** Whether a tunnel or a namespace address is this node's. */
  isOwnTunnel(address: string, port: number): boolean;
  isOwnNamespace(address: string): boolean;
}

export interface JobReaderOptions {
  readonly sink: Pick<ProviderSink, "nodeId" | "policies">;
  readonly ranges: readonly Prefix[];
  readonly own: OwnNode;
  /** What the operator binds a round-robin address of a job to. */
  readonly policyOf: (job: string, address: string) => string | undefined;
  /** What the records are part of, in sentences. */
  readonly source: string;
  /** Is told of each odd record, one sentence each. */
  readonly tell: (sentence: string) => void;
}

export interface Job {
  readonly service: Service;
  readonly nodes: ReadonlyMap<string, Node>; // by id, of its instances
  /** What was said of its instances, by number: what it is made of again after a restart, or under other policies. */
  readonly records: ReadonlyMap<number, InstanceRecord>;
}

/** Go nodes send from any port, and from another address than the advertised one where there are several. */
const ACCEPT = { anyPort: false, addresses: [], anyAddress: true, unknownSources: true };
const INSTANCE_TYPES: readonly string[] = ["instance_ip", "InstanceNumber"];
const ROUND_ROBIN = policyName("RR");
const PORT_MAX = 65_535;
const NUMBER_MAX = 0xffff_ffff;

export class JobReader {
  readonly #options: JobReaderOptions;
  #oddRecords = 0;

  constructor(options: JobReaderOptions) {
    this.#options = options;
  }

  /** Parts of results that were left out. */
  get oddRecords(): number {
    return this.#oddRecords;
  }

  /** Of several records with an instance's number or one of its addresses the last one counts. */
  read(name: string, records: readonly unknown[]): Job {
    const instances = new Map<number, Instance>();
    const kept = new Map<number, InstanceRecord>();
    const nodes = new Map<string, Node>();
    const addresses = new Map<string, string>(); // policy by address
    const owners = new Map<string, number>(); // instance by address
    for (const value of records) {
      const read = readInstanceRecord(value);
      if (read instanceof Odd) {
        this.odd(`an instance of ${name}: ${read.sentence}`);
        continue;
      }
      const { own, usable } = this.#readAddresses(name, read, addresses);
      const placed = this.#place(name, read, own);
      if (placed === undefined) continue;
      const { instance, node } = placed;
      const all = [...instance.namespaceAddresses, ...instance.instanceAddresses];
      if (instances.has(instance.number)) this.odd(`instance ${instance.number} of ${name} is there twice`);
      for (const older of new Set(all.flatMap((address) => owners.get(address) ?? []))) {
        if (older !== instance.number && instances.delete(older)) {
          this.odd(`instance ${older} of ${name} has an address that instance ${instance.number} has as well`);
        }
      }
      for (const address of all) owners.set(address, instance.number);
      instances.set(instance.number, instance);
      kept.set(instance.number, { ...read, service_ip: usable });
      if (node !== undefined) nodes.set(node.id, node);
    }
    for (const [address] of addresses) {
      if (!owners.has(address)) continue;
      this.odd(`${address} of ${name} is the address of an instance as well as a service address`);
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
      records: new Map([...kept].filter(([number]) => instances.has(number))),
    };
  }

  /** The instance's own addresses; those of the service go to `addresses`. `usable` are the records that count. */
  #readAddresses(
    name: string,
    record: InstanceRecord,
    addresses: Map<string, string>,
  ): { readonly own: readonly string[]; readonly usable: readonly ServiceAddressRecord[] } {
    const own: string[] = [];
    const usable: ServiceAddressRecord[] = [];
    for (const value of record.service_ip) {
      const read = readServiceAddress(value);
      if (read instanceof Odd) {
        this.odd(`an address of ${name}: ${read.sentence}`);
        continue;
      }
      const isInstance = INSTANCE_TYPES.includes(read.IpType);
      const policy = policyName(read.IpType);
      if (!isInstance && !this.#options.sink.policies().includes(policy)) {
        this.odd(`${shortText(read.Address)} of ${name} has the unknown policy ${valueText(read.IpType)}`);
        continue;
      }
      usable.push(read);
      for (const text of [read.Address, read.Address_v6]) {
        const address = this.#inRanges(name, text);
        if (address === undefined) continue;
        if (isInstance) own.push(address);
        else addresses.set(address, policy === ROUND_ROBIN ? this.#bound(name, address) : policy);
      }
    }
    if (own.length > 0) return { own, usable };
    const texts = [record.instance_ip, record.instance_ip_v6];
    return { own: texts.flatMap((text) => this.#inRanges(name, text) ?? []), usable };
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
    this.odd(`${valueText(text)} of ${name} is no address of a service range`);
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
    if (number > NUMBER_MAX) return this.odd(`${here}: expected a number below 2^32`);
    if (usable.length === 0) return this.odd(`${here}: expected a namespace address and an instance address`);
    if (local !== undefined) return { instance: { ...instance, node: sink.nodeId }, node: undefined };
    const bytes = parseAddress(host);
    const isInRange = bytes !== undefined && this.#options.ranges.some((range) => contains(range, bytes));
    if (bytes === undefined || isInRange || unusableRange(bytes) !== undefined || port < 1 || port > PORT_MAX) {
      return this.odd(`${here}: expected the address and port of a node, found ${valueText(`${host} ${port}`)}`);
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

  /** Counts and tells what is left out. */
  odd(sentence: string): undefined {
    this.#oddRecords += 1;
    this.#options.tell(`left out of ${this.#options.source}: ${sentence}`);
    return undefined;
  }
}
