// The slow twin's tables: Maps by address, rebuilt from the model at each generation.
// An instance that stays in the tables, whatever changes about it, keeps its identity.
import ipaddr from "ipaddr.js";
import type { Instance, Node, Service, Tables } from "../../../src/model/tables.ts";
import { addressBytes, addressText } from "../packet-builder.ts";
import { latin1 } from "./parser.ts";

/** How an IPv4 address begins that is written as an IPv6 one. */
export const V4_MAPPED = "\0\0\0\0\0\0\0\0\0\0\xff\xff";

/** Whoever sends and is no node; no id has a space. */
export const STRANGER = "a stranger";

interface FamilyAddresses {
  readonly v4: string | undefined;
  readonly v6: string | undefined;
}

export interface TwinInstance {
  readonly identity: number;
  readonly number: number;
  readonly node: string;
  /** The same for a node that got another id, in one change. */
  readonly nodeIdentity: string;
  readonly isLocal: boolean;
  /** Raw bytes as latin1 strings. */
  readonly namespace: FamilyAddresses;
  readonly address: FamilyAddresses;
}

export interface TwinCandidate {
  readonly instance: TwinInstance;
  readonly isDraining: boolean;
}

type TwinAddress =
  | { readonly kind: "instance"; readonly instance: TwinInstance }
  | { readonly kind: "balanced"; readonly candidates: readonly TwinCandidate[] };

export class TwinTables {
  private readonly own: ReadonlySet<string>;
  private readonly ranges: readonly { readonly bytes: Uint8Array; readonly bits: number }[];
  private instances = new Map<string, TwinInstance>(); // by service and number
  private byIdentity = new Map<number, TwinInstance>();
  private identities = 0;
  private readonly health = new Map<number, "healthy" | "unhealthy">(); // by identity
  private addresses = new Map<string, TwinAddress>();
  private workloads = new Map<string, TwinInstance>();
  private nodes = new Map<string, Node>();
  /** The id that each node had in the generation before. */
  private formerIds = new Map<string, string>();
  /** The id that it had at first. */
  private firstIds = new Map<string, string>();

  constructor(
    private readonly nodeId: string,
    ranges: readonly string[],
    public acceptsStrangers = false,
    ownAddresses: readonly string[] = [],
  ) {
    this.own = new Set(ownAddresses.map((address) => latin1(addressBytes(address))));
    this.ranges = ranges.map((range) => {
      const [address, bits] = ipaddr.parseCIDR(range);
      return { bytes: Uint8Array.from(address.toByteArray()), bits };
    });
  }

  apply(tables: Tables): void {
    const before = this.instances;
    this.instances = new Map();
    this.addresses = new Map();
    this.workloads = new Map();
    const nodesBefore = [...this.nodes.values()];
    this.nodes = new Map(tables.nodes.map((node) => [node.id, node]));
    this.formerIds = new Map(
      tables.nodes.map(({ id, underlay: { address, port } }) => {
        const isThere = nodesBefore.some((one) => one.id === id);
        const renamed = nodesBefore.find(({ id: other, underlay }) => {
          return !isThere && !this.nodes.has(other) && underlay.address === address && underlay.port === port;
        });
        return [id, renamed?.id ?? id];
      }),
    );
    this.firstIds = new Map([...this.formerIds].map(([id, former]) => [id, this.firstIds.get(former) ?? id]));
    for (const service of tables.services) this.addService(service, before);
    this.byIdentity = new Map([...this.instances.values()].map((instance) => [instance.identity, instance]));
  }

  /** What checks say of an instance in the tables, until it leaves them. */
  setHealth(service: string, number: number, health: "unknown" | "healthy" | "unhealthy"): void {
    const instance = this.instances.get(JSON.stringify([service, number]));
    if (instance === undefined) return;
    if (health === "unknown") this.health.delete(instance.identity);
    else this.health.set(instance.identity, health);
  }

  /** Whether checks say anything of it. */
  isChecked({ identity }: TwinInstance): boolean {
    return this.health.has(identity);
  }

  isUnhealthy({ identity }: TwinInstance): boolean {
    return this.health.get(identity) === "unhealthy";
  }

  /** What the instance is now; undefined when it is not in the tables, or was not in between. */
  current({ identity }: TwinInstance): TwinInstance | undefined {
    return this.byIdentity.get(identity);
  }

  address(raw: string): TwinAddress | undefined {
    return this.addresses.get(raw);
  }

  /** The local instance with this namespace address. */
  workload(raw: string): TwinInstance | undefined {
    return this.workloads.get(raw);
  }

  /** Whether the node itself has the address. */
  isOwn(raw: string): boolean {
    return this.own.has(raw);
  }

  /** The id that a node of now had in the generation before. */
  formerId(node: string): string {
    return this.formerIds.get(node) ?? node;
  }

  nodeIds(): string[] {
    return [...this.nodes.keys()];
  }

  /** Where datagrams to a node go: "192.0.2.1:50103" or "[2001:db8::1]:50103". */
  endpointOf(node: string): string | undefined {
    const endpoint = this.nodes.get(node)?.underlay;
    return endpoint === undefined ? undefined : endpointText(endpoint.address, endpoint.port);
  }

  /** The node whose datagrams come from there; else NodeLayout.STRANGER, if one may send. */
  nodeOfSender(address: string, port: number): string | undefined {
    const node = [...this.nodes.values()].find(({ underlay, accept }) => {
      const isItsPort = accept?.anyPort === true || underlay.port === port;
      return isItsPort && [underlay.address, ...(accept?.addresses ?? [])].includes(address);
    });
    return node?.id ?? (this.acceptsStrangers ? STRANGER : undefined);
  }

  /** Whether a node may speak for service addresses that are not in the tables. */
  acceptsUnknownSources(node: string): boolean {
    return node === STRANGER || this.nodes.get(node)?.accept?.unknownSources === true;
  }

  /** Whether what comes from a sender may be of an instance on a node. */
  speaksFor(sender: string, node: string): boolean {
    return sender === node || this.nodes.get(node)?.accept?.anyAddress === true;
  }

  /** Whom the room is counted to that a packet of this source takes: the first namespace address of its workload. */
  ownerOf(source: string): string | undefined {
    const namespace = this.workload(source)?.namespace;
    return namespace?.v4 ?? namespace?.v6;
  }

  /** The address from which a node sends. */
  addressOf(node: string): string | undefined {
    return this.nodes.get(node)?.underlay.address;
  }

  inServiceRange(raw: string): boolean {
    return this.ranges.some(({ bytes, bits }) => {
      if (bytes.length !== raw.length) return false;
      for (let bit = 0; bit < bits; bit++) {
        const mask = 0x80 >> (bit & 7);
        if (((bytes[bit >> 3] as number) & mask) !== (raw.charCodeAt(bit >> 3) & mask)) return false;
      }
      return true;
    });
  }

  private addService(service: Service, before: ReadonlyMap<string, TwinInstance>): void {
    const candidates: TwinCandidate[] = [];
    for (const model of service.instances) {
      const name = JSON.stringify([service.name, model.number]);
      const instance = this.newInstance(model, before.get(name)?.identity ?? ++this.identities);
      this.instances.set(name, instance);
      candidates.push({ instance, isDraining: model.draining });
      for (const raw of familiesOf(instance.address)) this.addresses.set(raw, { kind: "instance", instance });
      if (!instance.isLocal) continue;
      for (const raw of familiesOf(instance.namespace)) this.workloads.set(raw, instance);
    }
    for (const { address } of service.addresses) {
      const reachable = candidates.filter(({ instance }) => familiesOf(instance.namespace).length > 0);
      this.addresses.set(rawAddress(address), { kind: "balanced", candidates: reachable });
    }
  }

  private newInstance(model: Instance, identity: number): TwinInstance {
    return {
      identity,
      number: model.number,
      node: model.node,
      nodeIdentity: this.firstIds.get(model.node) ?? model.node,
      isLocal: model.node === this.nodeId,
      namespace: perFamily(model.namespaceAddresses),
      address: perFamily(model.instanceAddresses),
    };
  }
}

/** The raw bytes of an address as a latin1 string: 4 or 16 characters. */
export function rawAddress(text: string): string {
  return latin1(addressBytes(text));
}

/** The text of an address in that form. */
export function rawText(raw: string): string {
  return addressText(Buffer.from(raw, "latin1"));
}

export function endpointText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function perFamily(addresses: readonly string[]): FamilyAddresses {
  const raw = addresses.map(rawAddress);
  return { v4: raw.find((one) => one.length === 4), v6: raw.find((one) => one.length === 16) };
}

export function has({ v4, v6 }: FamilyAddresses, raw: string): boolean {
  return raw === v4 || raw === v6;
}

function familiesOf({ v4, v6 }: FamilyAddresses): string[] {
  return [v4, v6].filter((raw) => raw !== undefined);
}
