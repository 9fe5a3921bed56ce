// Random traffic for one node: calls, answers, requests from outside, super-packets, and a share of each broken on
// purpose. And random changes of the tables underneath. Everything follows from one seed.

import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, VIRTIO_NET_HDR_SIZE } from "../../assembly/shared/protocols.ts";
import type { Instance, Node, Service, Tables } from "../../src/control/model.ts";
import {
  addressText,
  packet,
  pad,
  TCP_ACK,
  TCP_FIN,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  virtioFrame,
} from "./packet-builder.ts";
import type { Random } from "./random.ts";
import { incremental } from "./reference/checksum.ts";
import type { TwinFlow } from "./reference/flows.ts";
import type { Message } from "./reference/translator.ts";
import { FragmentTraffic } from "./traffic-fragments.ts";
import { echo, icmpError, isV4, otherPacket, portless } from "./traffic-kinds.ts";
import { largePacket, type Ports, superPacket, syn } from "./traffic-sizes.ts";

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
const SOURCE_PORTS = [1, 1023, 1024, 5000, 5001, 32768, 40000, 40001, 40002, 50103, 60999, 65534, 65535];
const SERVICE_PORTS = [1, 53, 80, 443, 65535];
const TCP_FLAGS = [TCP_SYN, TCP_ACK, TCP_ACK, TCP_ACK, TCP_SYN | TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST, 0x18, 0xff, 0];

export interface TrafficShares {
  /** Part of the packets that is mutated. */
  readonly mutated: number;
  /** Part of the frames that is a super-packet. */
  readonly superPackets: number;
  /** Part of the frames that is about as large as a path takes. */
  readonly large: number;
  /** Part of the frames that is a SYN with options. */
  readonly syns: number;
  /** Part of the packets that is neither TCP nor UDP, or has extension headers. */
  readonly otherKinds: number;
  /** Part of the packets that is an ICMP error. */
  readonly errors: number;
  /** Part of the packets that is a fragment. */
  readonly fragments: number;
  /** Part of the messages that is a run of packets which belong together, whole and with right checksums. */
  readonly runs: number;
}

interface Sender {
  readonly address: string;
  readonly port: number;
}

/** A world with several local workloads and services on several nodes; which of them are there changes. */
export class Traffic {
  private readonly nodes: Node[];
  private readonly services: Service[];
  private readonly gone = new Set<string>();
  private readonly goneAddresses = new Set<string>();
  private readonly draining = new Set<string>();
  private readonly moved = new Map<string, string>();
  private readonly endpoints = new Map<string, number>();
  private readonly templates: Templates;
  private readonly fragmentsOut: FragmentTraffic<undefined>;
  private readonly fragmentsIn: FragmentTraffic<Sender>;

  constructor(
    private readonly random: Random,
    private readonly nodeId: string,
    private readonly shares: TrafficShares,
  ) {
    this.nodes = Array.from({ length: NODE_COUNT }, (_, i) => ({
      id: `node-${i}`,
      underlay: { address: i % 2 === 0 ? `192.0.2.${i + 10}` : `2001:db8::${i + 10}`, port: 50103 + i },
    }));
    this.services = Array.from({ length: SERVICE_COUNT }, (_, i) => this.service(i));
    this.templates = new Templates();
    this.fragmentsOut = new FragmentTraffic(random);
    this.fragmentsIn = new FragmentTraffic(random);
  }

  /** The tables as they are now. */
  tables(): Tables {
    return {
      nodes: this.nodes.map((node) => this.nodeNow(node)),
      services: [...this.services.map((service) => this.serviceNow(service)), WITHOUT_INSTANCES],
    };
  }

  /** Changes something: an instance comes, goes, drains or moves, an address goes, a node gets another endpoint. */
  change(): void {
    const { random } = this;
    const service = random.pick(this.services);
    const instance = random.pick(service.instances);
    const id = key(service, instance);
    switch (random.below(6)) {
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

  /** Frames from the TUN; some of them belong to some of the given flows. */
  frames(count: number, flows: readonly TwinFlow[]): Uint8Array[] {
    return Array.from({ length: count }, () => {
      const frame =
        flows.length > 0 && this.random.chance(0.4) ? this.nextFrame(this.random.pick(flows)) : this.frame();
      return this.random.chance(this.shares.mutated) ? this.mutate(frame) : frame;
    });
  }

  /** Messages from the tunnel; answers belong to some of the given flows. */
  messages(count: number, flows: readonly TwinFlow[]): Message[] {
    return Array.from({ length: count }, () => this.message(flows));
  }

  /** What is there goes seldom, what went comes back soon: most of the world is there most of the time. */
  private flip(set: Set<string>, value: string): void {
    if (!set.delete(value) && this.random.chance(0.3)) set.add(value);
  }

  private frame(): Uint8Array {
    const { random } = this;
    const isV4 = random.chance(0.5);
    const local = this.localInstance();
    const src = random.chance(0.97) ? familyOf(local.namespaceAddresses, isV4) : this.anyAddress(isV4);
    const dst = this.calledAddress(isV4);
    const isTcp = random.chance(0.5);
    if (random.chance(this.shares.otherKinds)) return virtioFrame(otherPacket(random, src, dst), {});
    if (random.chance(this.shares.errors)) return virtioFrame(this.errorOut(src, dst), {});
    const [sport, dport] = [random.pick(SOURCE_PORTS), random.pick(SERVICE_PORTS)];
    const ordinary = (): Uint8Array => this.framed(this.packet(src, dst, sport, dport, isTcp), isV4, isTcp);
    return this.unusual(src, dst, { sport, dport }) ?? ordinary();
  }

  /** Something whose size, form or options matter, or undefined for most packets. */
  private unusual(src: string, dst: string, ports: Ports): Uint8Array | undefined {
    const { random, shares } = this;
    if (random.chance(shares.fragments)) {
      const { bytes } = this.fragmentsOut.next(() => ({ context: undefined, packet: this.longPacket(src, dst) }));
      return virtioFrame(bytes, {});
    }
    if (random.chance(shares.superPackets)) return superPacket(random, src, dst, ports, random.pick(TCP_FLAGS));
    if (random.chance(shares.large)) return virtioFrame(largePacket(random, src, dst, ports), {});
    return random.chance(shares.syns) ? syn(random, src, dst, ports) : undefined;
  }

  /** An error of a local workload about what it got from one that it called, or that called it. */
  private errorOut(src: string, dst: string): Uint8Array {
    const { random } = this;
    const quoted = random.chance(0.5)
      ? otherPacket(random, dst, src)
      : this.packet(dst, src, random.pick(SERVICE_PORTS), random.pick(SOURCE_PORTS), random.chance(0.5));
    // A router may speak for the workload, and somebody may lie about the receiver.
    const from = random.chance(0.8) ? src : this.anyAddress(isV4(src));
    return icmpError(random, from, random.chance(0.95) ? dst : this.anyAddress(isV4(src)), quoted);
  }

  /** The next packet of a flow's client, or its error about an answer. */
  private nextFrame(flow: TwinFlow): Uint8Array {
    const [client, called] = [rawText(flow.clientAddress), rawText(flow.called)];
    if (this.random.chance(this.shares.errors)) {
      const answer = this.templates.of(flow.protocol, this.random, called, client, flow.calledPort, flow.clientPort);
      return virtioFrame(icmpError(this.random, client, called, answer), {});
    }
    if (!hasPorts(flow.protocol)) {
      const ports = [flow.clientPort, flow.calledPort] as const;
      return virtioFrame(this.templates.of(flow.protocol, this.random, client, called, ...ports), {});
    }
    const { clientAddress, clientPort, calledPort } = flow;
    const unusual = this.unusual(client, called, { sport: clientPort, dport: calledPort });
    if (unusual !== undefined) return unusual;
    const bytes = this.templates.between(clientAddress, flow.called, flow, this.random, clientPort, calledPort);
    return this.framed(bytes, clientAddress.length === 4, flow.protocol === IPPROTO_TCP);
  }

  private framed(bytes: Uint8Array, isV4: boolean, isTcp: boolean): Uint8Array {
    const frame = virtioFrame(bytes, {});
    if (!this.random.chance(0.3)) return frame;
    // Its checksum is unfinished: what stands in the field is taken for the partial sum.
    frame[0] = 1;
    frame[6] = isV4 ? 20 : 40;
    frame[8] = isTcp ? 16 : 6;
    // No sum of a pseudo-header is zero.
    const field = VIRTIO_NET_HDR_SIZE + (isV4 ? 20 : 40) + (isTcp ? 16 : 6);
    if (frame[field] === 0 && frame[field + 1] === 0) frame[field] = 1;
    return frame;
  }

  private message(flows: readonly TwinFlow[]): Message {
    const { random } = this;
    const sender = this.nodeNow(random.pick(this.nodes)).underlay;
    const from = { address: sender.address, port: random.pick([50103, 40000, 65535]) };
    if (flows.length > 0 && random.chance(0.6)) {
      const flow = random.pick(flows);
      const node = this.nodes.find((one) => one.id === flow.target.node);
      const address = node !== undefined && random.chance(0.95) ? this.nodeNow(node).underlay.address : from.address;
      return this.received({ ...from, address }, () =>
        random.chance(this.shares.errors) ? this.errorAbout(flow) : this.templates.answer(flow, random),
      );
    }
    if (random.chance(0.01)) return this.probe(from);
    if (random.chance(this.shares.runs)) return this.run(from);
    const isV4 = random.chance(0.5);
    const local = familyOf(this.localInstance().namespaceAddresses, isV4);
    const dst = random.chance(0.95) ? local : this.anyAddress(isV4);
    const src = random.chance(0.9) ? this.instanceAddress(isV4) : this.anyAddress(isV4);
    const home = this.homeOf(src);
    const address = home !== undefined && random.chance(0.8) ? this.nodeNow(home).underlay.address : from.address;
    if (random.chance(this.shares.fragments)) {
      const { context, bytes } = this.fragmentsIn.next(() => ({
        context: { ...from, address },
        packet: this.longPacket(src, dst),
      }));
      return this.received(context, () => bytes);
    }
    return this.received({ ...from, address }, () => {
      if (random.chance(this.shares.otherKinds)) return otherPacket(random, src, dst);
      if (random.chance(this.shares.errors)) return this.errorIn(src, dst);
      return this.packet(src, dst, random.pick(SERVICE_PORTS), random.pick(SOURCE_PORTS), random.chance(0.5));
    });
  }

  /** An error of a flow's instance, or of its node, about a packet of the flow's client. */
  private errorAbout(flow: TwinFlow): Uint8Array {
    const { random } = this;
    const [client, instance] = [rawText(flow.answerDestination), rawText(flow.answerSource)];
    const quoted = this.templates.of(flow.protocol, random, client, instance, flow.wirePort, flow.calledPort);
    return icmpError(random, random.chance(0.9) ? instance : this.anyAddress(isV4(client)), client, quoted);
  }

  /** What must be fragmented, of any kind. */
  private longPacket(src: string, dst: string): Uint8Array {
    const { random } = this;
    const length = random.chance(0.5) ? random.between(1500, 4000) : random.below(400);
    if (random.chance(0.3)) return otherPacket(random, src, dst, length);
    const ports = [random.pick(SOURCE_PORTS), random.pick(SERVICE_PORTS)] as const;
    return this.templates.packet(src, dst, random.chance(0.3), length, random, ...ports);
  }

  /** An error about what a local workload sent, which may have no flow (any more). */
  private errorIn(src: string, dst: string): Uint8Array {
    const { random } = this;
    const quoted = random.chance(0.5)
      ? otherPacket(random, random.chance(0.9) ? dst : this.anyAddress(isV4(dst)), src)
      : this.packet(dst, src, random.pick(SOURCE_PORTS), random.pick(SERVICE_PORTS), random.chance(0.5));
    return icmpError(random, src, dst, quoted);
  }

  /** One datagram, or several of one size as UDP_GRO delivers them. */
  private received(from: Sender, build: () => Uint8Array): Message {
    const { random } = this;
    const mutated = (bytes: Uint8Array): Uint8Array =>
      random.chance(this.shares.mutated) ? this.mutate(bytes) : bytes;
    const first = build();
    if (!random.chance(0.1)) {
      return { ...from, bytes: mutated(first), isTruncated: random.chance(0.002) };
    }
    const parts = Array.from({ length: random.between(2, 8) }, () => {
      const bytes = mutated(build());
      return bytes.length > first.length ? first : pad(bytes, first.length - bytes.length);
    });
    const whole = Buffer.concat(parts);
    return { ...from, bytes: whole.subarray(0, whole.length - random.below(first.length)), segmentSize: first.length };
  }

  /** What a peer makes of a super-packet: segments in a row, of which now and then one differs. */
  private run(from: Sender): Message {
    const { random } = this;
    const isV4 = random.chance(0.5);
    const src = this.instanceAddress(isV4);
    const home = this.homeOf(src);
    const build = packet().ip(src, familyOf(this.localInstance().namespaceAddresses, isV4));
    const isTcp = random.chance(0.7);
    const size = random.pick([16, 100, 536]);
    const count = random.between(2, 12);
    let seq = random.u32();
    const oddOne = random.below(3 * count);
    const parts = Array.from({ length: count }, (_, i) => {
      const isOdd = i === oddOne;
      const flags = isOdd ? random.pick(TCP_FLAGS) : i === count - 1 ? TCP_ACK | TCP_PSH : TCP_ACK;
      const window = isOdd ? random.u32() & 0xffff : 500;
      const ports = { sport: 80, dport: isOdd ? random.pick(SOURCE_PORTS) : 40000 };
      const transport = isTcp ? build.tcp({ ...ports, seq, flags, window }) : build.udp(ports);
      const bytes = transport.payload(random.bytes(size)).bytes();
      seq = (seq + (isOdd && random.chance(0.5) ? 1 : size)) >>> 0;
      if (isV4) setIdentification(bytes, 0xfffe + i);
      return isOdd && random.chance(0.3) ? this.mutate(bytes).subarray(0, bytes.length) : bytes;
    });
    const length = Math.max(...parts.map((bytes) => bytes.length));
    const whole = Buffer.concat(parts.map((bytes) => pad(bytes, length - bytes.length)));
    const address = home === undefined ? from.address : this.nodeNow(home).underlay.address;
    return { ...from, address, bytes: whole, segmentSize: length };
  }

  private probe(from: Sender): Message {
    const bytes = this.random.bytes(this.random.between(22, 30));
    bytes.set([0x53, 0x57, this.random.below(3), this.random.below(4)]);
    return { ...from, bytes };
  }

  private packet(src: string, dst: string, sport: number, dport: number, isTcp: boolean): Uint8Array {
    const { random } = this;
    const length = random.chance(0.05) ? random.below(1400) : random.below(40);
    return this.templates.packet(src, dst, isTcp, length, random, sport, dport);
  }

  private mutate(bytes: Uint8Array): Uint8Array {
    const { random } = this;
    const copy = bytes.slice();
    switch (random.below(8)) {
      case 0:
        return copy.subarray(0, random.below(copy.length + 1));
      case 1:
        return pad(copy, random.between(1, 30), random.below(256));
      case 2:
        return random.bytes(random.below(100));
      default: {
        // Most bytes that mean something stand in front.
        const reach = random.chance(0.8) ? Math.min(copy.length, 64) : copy.length;
        for (let i = random.between(1, 3); i > 0; i--) {
          const at = random.below(reach);
          copy[at] = random.chance(0.5) ? random.u32() : (copy[at] as number) ^ (1 << random.below(8));
        }
        return copy;
      }
    }
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

  private localInstance(): Instance {
    return this.random.pick(this.services).instances[0] as Instance;
  }

  private calledAddress(isV4: boolean): string {
    const roll = this.random.below(100);
    if (roll < 70) {
      const { addresses } = this.random.pick(this.services);
      return (addresses[(isV4 ? 0 : 1) + 2 * this.random.below(2)] as { address: string }).address;
    }
    if (roll < 71) return (WITHOUT_INSTANCES.addresses[isV4 ? 0 : 1] as { address: string }).address;
    return roll < 95 ? this.instanceAddress(isV4) : this.anyAddress(isV4);
  }

  private instanceAddress(isV4: boolean): string {
    return familyOf(this.random.pick(this.random.pick(this.services).instances).instanceAddresses, isV4);
  }

  private anyAddress(isV4: boolean): string {
    return this.random.pick(
      isV4
        ? ["10.30.200.1", "10.31.0.1", "192.0.2.1", "10.18.5.3", "255.255.255.255", "0.0.0.0"]
        : ["fdff::9999", "fdfe::1", "2001:db8::1", "fc00::18:5:3", "::ffff:10.30.1.1", "::ffff:10.18.0.1", "::"],
    );
  }

  /** The other node whose instance has the address. */
  private homeOf(address: string): Node | undefined {
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
          node: this.moved.get(key(service, one)) ?? one.node,
          draining: this.draining.has(key(service, one)),
        })),
    };
  }

  private nodeNow(node: Node): Node {
    const variant = this.endpoints.get(node.id) ?? 0;
    if (variant === 0) return node;
    const { address, port } = node.underlay;
    return { ...node, underlay: { address: variant === 1 ? address : `${address}9`, port: port + 100 } };
  }
}

/** Packets by shape, built once and patched: building each from nothing would take most of the time. */
class Templates {
  private readonly packets = new Map<string, Uint8Array>();

  packet(
    src: string,
    dst: string,
    isTcp: boolean,
    length: number,
    random: Random,
    sport: number,
    dport: number,
  ): Uint8Array {
    const name = `${src} ${dst} ${isTcp} ${length}`;
    let template = this.packets.get(name);
    if (template === undefined) {
      const ip = packet().ip(src, dst);
      template = (isTcp ? ip.tcp({ sport: 1, dport: 1 }) : ip.udp({ sport: 1, dport: 1 })).payload(length).bytes();
      if (this.packets.size < 20_000) this.packets.set(name, template);
    }
    return patch(template.slice(), isTcp, random, sport, dport);
  }

  /** An answer of the flow's instance. */
  answer(flow: TwinFlow, random: Random): Uint8Array {
    const { answerSource, answerDestination } = flow;
    if (!hasPorts(flow.protocol)) {
      const ends = [rawText(answerSource), rawText(answerDestination)] as const;
      return this.of(flow.protocol, random, ...ends, flow.calledPort, flow.wirePort);
    }
    return this.between(answerSource, answerDestination, flow, random, flow.calledPort, flow.wirePort);
  }

  /** A packet of a flow's protocol between two addresses. */
  of(protocol: number, random: Random, src: string, dst: string, sport: number, dport: number): Uint8Array {
    if (hasPorts(protocol)) {
      return this.packet(src, dst, protocol === IPPROTO_TCP, random.below(40), random, sport, dport);
    }
    if (protocol !== IPPROTO_ICMP) return portless(random, src, dst, protocol);
    // The side that asked has the identifier; when it is zero either may have.
    const isRequest = sport !== 0 || (dport === 0 && random.chance(0.5));
    return echo(random, src, dst, isRequest ? sport : dport, isRequest);
  }

  /** A packet of the flow's protocol between two raw addresses. */
  between(
    source: string,
    destination: string,
    flow: TwinFlow,
    random: Random,
    sport: number,
    dport: number,
  ): Uint8Array {
    const isV4 = source.length === 4;
    const any = isV4 ? "192.0.2.1" : "2001:db8::1";
    const bytes = this.packet(any, any, flow.protocol === IPPROTO_TCP, random.below(40), random, sport, dport);
    bytes.set(Buffer.from(source, "latin1"), isV4 ? 12 : 8);
    bytes.set(Buffer.from(destination, "latin1"), isV4 ? 16 : 24);
    return bytes;
  }
}

/** Another IPv4 identification, and the header checksum that goes with it. */
function setIdentification(bytes: Uint8Array, identification: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const before = view.getUint16(4);
  view.setUint16(4, identification & 0xffff);
  view.setUint16(10, incremental(view.getUint16(10), [before], [identification & 0xffff]));
}

/** Other ports, flags and checksums; whether those are right makes no difference to a translator. */
function patch(bytes: Uint8Array, isTcp: boolean, random: Random, sport: number, dport: number): Uint8Array {
  const at = (bytes[0] as number) >> 4 === 4 ? 20 : 40;
  bytes[at] = sport >> 8;
  bytes[at + 1] = sport;
  bytes[at + 2] = dport >> 8;
  bytes[at + 3] = dport;
  if (isTcp) bytes[at + 13] = random.pick(TCP_FLAGS);
  const checksum = random.chance(0.02) ? random.pick([0, 0xffff]) : random.below(0x10000);
  bytes[at + (isTcp ? 16 : 6)] = checksum >> 8;
  bytes[at + (isTcp ? 17 : 7)] = checksum;
  return bytes;
}

function hasPorts(protocol: number): boolean {
  return protocol === IPPROTO_TCP || protocol === IPPROTO_UDP;
}

function rawText(raw: string): string {
  return addressText(Buffer.from(raw, "latin1"));
}

function key(service: Service, instance: Instance): string {
  return `${service.name} ${instance.number}`;
}

/** The address of the family, or one of nobody when there is none. */
function familyOf(addresses: readonly string[], isV4: boolean): string {
  const found = addresses.find((one) => !one.includes(":") === isV4);
  return found ?? (isV4 ? "192.0.2.200" : "2001:db8::200");
}
