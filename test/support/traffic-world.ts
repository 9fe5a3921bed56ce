// The world of random traffic: workloads and services on several nodes, of which some come, go, drain or move.
import type { Endpoint, Instance, Node, Service, Tables } from "../../src/model/tables.ts";
import type { Random } from "./random.ts";
import { isV4 } from "./traffic-kinds.ts";

const NODE_COUNT = 5;
const SERVICE_COUNT = 6;
/** Which families the instances of each service have, of which the first one is on this node. */
const FAMILIES: readonly { readonly inside: readonly string[]; readonly outside: readonly string[] }[] = [
  { inside: ["v4", "v6"], outside: ["v4", "v6"] },
  { inside: ["v4", "v6"], outside: ["v4", "v6"] },
  { inside: ["v6"], outside: ["v4", "v6"] },
  { inside: ["v4"], outside: ["v4", "v6"] },
  { inside: ["v4"], outside: ["v4"] },
  { inside: ["v6"], outside: ["v4", "v6"] },
];

const WITHOUT_INSTANCES: Service = {
  name: "empty",
  addresses: ["10.30.1.99", "fdff:2000::1:99"].map((address) => ({ address, policy: "round-robin" })),
  instances: [],
};
/** In the service ranges, and never in the tables. */
const UNKNOWN = ["10.30.200.1", "fdff::9999"];
/** Address that a node sends from beside its own, but for the last digit. */
const NATTED = "198.51.100.7";

export class TrafficWorld {
  readonly nodes: readonly Node[];
  private readonly services: readonly Service[];
  private readonly gone = new Set<string>();
  private readonly goneAddresses = new Set<string>();
  private readonly draining = new Set<string>();
  private readonly moved = new Map<string, string>();
  /** An address that the instance does not have for now. */
  private readonly lost = new Map<string, string>();
  private readonly endpoints = new Map<string, number>();

  constructor(
    private readonly random: Random,
    private readonly nodeId: string,
  ) {
    this.nodes = Array.from({ length: NODE_COUNT }, (_, i) => ({
      id: `node-${i}`,
      underlay: { address: i % 2 === 0 ? `192.0.2.${i + 10}` : `2001:db8::${i + 10}`, port: 50103 + i },
      accept: {
        anyPort: i % 3 === 1,
        addresses: i % 4 === 2 ? [NATTED + i] : [],
        anyAddress: i % 7 === 2,
        unknownSources: i % 5 === 3,
      },
    }));
    this.services = Array.from({ length: SERVICE_COUNT }, (_, i) => this.service(i));
  }

  /** The tables as they are now. */
  tables(): Tables {
    return {
      nodes: this.nodes.map((node) => this.nodeNow(node)),
      services: [...this.services.map((service) => this.serviceNow(service)), WITHOUT_INSTANCES],
    };
  }

  /**
   * Changes something: an instance comes, goes, drains, moves or loses an address, one that is called goes, a node gets
   * another endpoint.
   */
  change(): void {
    const { random } = this;
    const service = random.pick(this.services);
    const instance = random.pick(service.instances);
    const id = key(service, instance);
    switch (random.below(7)) {
      case 0:
      case 1:
        return this.flip(this.gone, id);
      case 2:
        return this.flip(this.draining, id);
      case 3:
        if (!this.moved.delete(id)) {
          this.moved.set(id, random.pick([...this.nodes.map((node) => node.id), this.nodeId]));
        }
        return;
      case 4:
        if (!this.lost.delete(id)) {
          this.lost.set(id, random.pick([...instance.namespaceAddresses, ...instance.instanceAddresses]));
        }
        return;
      case 5:
        return this.flip(this.goneAddresses, random.pick(service.addresses).address);
      default:
        this.endpoints.set(random.pick(this.nodes).id, random.below(3));
    }
  }

  /** A service address that is called and known nowhere. */
  anyUnknown(): string {
    return this.random.pick([...this.goneAddresses, ...UNKNOWN]);
  }

  /** A service address goes. */
  hide(): void {
    this.goneAddresses.add(this.random.pick(this.random.pick(this.services).addresses).address);
  }

  /** A service address that was gone is there again. */
  show(): void {
    if (this.goneAddresses.size > 0) this.goneAddresses.delete(this.random.pick([...this.goneAddresses]));
  }

  private service(index: number): Service {
    const { inside, outside } = FAMILIES[index] as (typeof FAMILIES)[number];
    const instances = Array.from({ length: index + 1 }, (_, i): Instance => {
      const number = index * 16 + i;
      const isLocal = i === 0;
      const namespaceAddresses = [`10.18.${index}.${i + 1}`, `fc00::18:${index}:${i + 1}`];
      const instanceAddresses = [`10.30.4.${number}`, `fdff::4:${number}`];
      return {
        number: i,
        node: isLocal ? this.nodeId : `node-${number % NODE_COUNT}`,
        namespaceAddresses: namespaceAddresses.filter((address) => inside.includes(isV4(address) ? "v4" : "v6")),
        instanceAddresses: instanceAddresses.filter((address) => outside.includes(isV4(address) ? "v4" : "v6")),
        weight: 1,
        draining: false,
      };
    });
    const addresses = ["10.30.1.", "fdff:2000::1:", "10.30.2.", "fdff:1000::1:"].map((prefix) => ({
      address: `${prefix}${index + 1}`,
      policy: "round-robin",
    }));
    return { name: `service-${index}`, addresses, instances };
  }

  /** An instance that began on this node. Mostly it is still here. */
  localInstance(): Instance {
    const here = this.services.filter((service) => this.isHere(service, service.instances[0] as Instance));
    const from = here.length > 0 && this.random.chance(0.85) ? here : this.services;
    return this.random.pick(from).instances[0] as Instance;
  }

  private isHere(service: Service, instance: Instance): boolean {
    const id = key(service, instance);
    return !this.gone.has(id) && (this.moved.get(id) ?? instance.node) === this.nodeId;
  }

  calledAddress(isV4: boolean): string {
    const roll = this.random.below(100);
    if (roll < 70) {
      const { addresses } = this.random.pick(this.services);
      return (addresses[(isV4 ? 0 : 1) + 2 * this.random.below(2)] as { address: string }).address;
    }
    if (roll < 71) return (WITHOUT_INSTANCES.addresses[isV4 ? 0 : 1] as { address: string }).address;
    return roll < 95 ? this.instanceAddress(isV4) : this.anyAddress(isV4);
  }

  instanceAddress(isV4: boolean): string {
    return familyOf(this.random.pick(this.random.pick(this.services).instances).instanceAddresses, isV4);
  }

  anyAddress(isV4: boolean): string {
    return this.random.pick(
      isV4
        ? ["10.30.200.1", "10.31.0.1", "192.0.2.1", "10.18.5.3", "255.255.255.255", "0.0.0.0"]
        : ["fdff::9999", "fdfe::1", "2001:db8::1", "fc00::18:5:3", "::ffff:10.30.1.1", "::ffff:10.18.0.1", "::"],
    );
  }

  /** Where a datagram of a node comes from: seldom from where it must not. */
  senderOf(node: Node): Endpoint {
    const { underlay, accept } = this.nodeNow(node);
    const { random } = this;
    const isStrange = random.chance(0.03);
    const [natted] = accept?.addresses ?? [];
    return {
      address: natted !== undefined && random.chance(0.3) ? natted : underlay.address,
      port: isStrange || accept?.anyPort ? random.pick([50103, 40000, 65535]) : underlay.port,
    };
  }

  /** The other node whose instance has the address. */
  homeOf(address: string): Node | undefined {
    for (const service of this.services) {
      const instance = service.instances.find((one) => one.instanceAddresses.includes(address));
      if (instance === undefined) continue;
      return this.nodes.find((node) => node.id === (this.moved.get(key(service, instance)) ?? instance.node));
    }
    return undefined;
  }

  private serviceNow(service: Service): Service {
    return {
      ...service,
      addresses: service.addresses.filter((one) => !this.goneAddresses.has(one.address)),
      instances: service.instances
        .filter((one) => !this.gone.has(key(service, one)))
        .map((one) => ({
          ...one,
          namespaceAddresses: one.namespaceAddresses.filter((address) => address !== this.lost.get(key(service, one))),
          instanceAddresses: one.instanceAddresses.filter((address) => address !== this.lost.get(key(service, one))),
          node: this.moved.get(key(service, one)) ?? one.node,
          draining: this.draining.has(key(service, one)),
        })),
    };
  }

  nodeNow(node: Node): Node {
    const variant = this.endpoints.get(node.id) ?? 0;
    if (variant === 0) return node;
    const { address, port } = node.underlay;
    return { ...node, underlay: { address: variant === 1 ? address : `${address}9`, port: port + 100 } };
  }

  /** What is there goes seldom, what went comes back soon: most of the world is there most of the time. */
  private flip(set: Set<string>, value: string): void {
    if (!set.delete(value) && this.random.chance(0.3)) set.add(value);
  }
}

function key(service: Service, instance: Instance): string {
  return `${service.name} ${instance.number}`;
}

/** The address of the family, or one of nobody when there is none. */
export function familyOf(addresses: readonly string[], isV4: boolean): string {
  const found = addresses.find((one) => !one.includes(":") === isV4);
  return found ?? (isV4 ? "192.0.2.200" : "2001:db8::200");
}
