// Random traffic for one node: calls, answers, requests from outside, super-packets, and a share of each broken on
// purpose. Everything follows from one seed.

import * as Protocol from "../../assembly/shared/protocol.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import type { Instance } from "../../src/model/tables.ts";
import { FLAG, packet, pad, virtioFrame } from "./packet-builder.ts";
import type { Random } from "./random.ts";
import { incremental } from "./reference/checksum.ts";
import { rawText } from "./reference/tables.ts";
import { withTrafficClass } from "./reference/traffic-class.ts";
import type { Message } from "./reference/translator.ts";
import { FragmentTraffic } from "./traffic-fragments.ts";
import { icmpError, isV4, otherPacket } from "./traffic-kinds.ts";
import { largePacket, type Ports, superPacket, syn } from "./traffic-sizes.ts";
import { hasPorts, TCP_FLAGS, Templates, type TrafficFlow } from "./traffic-templates.ts";
import { familyOf, type TrafficWorld } from "./traffic-world.ts";

const SOURCE_PORTS = [1, 1023, 1024, 5000, 5001, 32768, 40000, 40001, 40002, 50103, 60999, 65534, 65535];
const DSCPS = [0, 0, 0, 46, 63];
const IPV4_HEADER = 20;
const TRIES = 4;
const SERVICE_PORTS = [1, 53, 80, 443, 65535];

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
  /** Part of the packets, and of the messages, that has another DSCP or ECN than zero. */
  readonly classes: number;
  /** Part of the messages that is a run of packets which belong together, whole and with right checksums. */
  readonly runs: number;
}

/** Some of everything that is meant to be right. */
export const ALL_KINDS: Omit<TrafficShares, "mutated"> = {
  superPackets: 0.05,
  large: 0.06,
  syns: 0.03,
  otherKinds: 0.1,
  errors: 0.06,
  fragments: 0.1,
  classes: 0.3,
  runs: 0.06,
};

interface Sender {
  readonly address: string;
  readonly port: number;
}

export class Traffic {
  private readonly templates = new Templates();
  private readonly fragmentsOut: FragmentTraffic<undefined>;
  private readonly fragmentsIn: FragmentTraffic<Sender>;

  constructor(
    private readonly random: Random,
    private readonly world: TrafficWorld,
    private readonly shares: TrafficShares,
  ) {
    this.fragmentsOut = new FragmentTraffic(random);
    this.fragmentsIn = new FragmentTraffic(random);
  }

  /** Frames from the TUN; some of them belong to some of the given flows. */
  frames(count: number, flows: readonly TrafficFlow[]): Uint8Array[] {
    return Array.from({ length: count }, () => {
      const frame =
        flows.length > 0 && this.random.chance(0.4) ? this.nextFrame(this.random.pick(flows)) : this.frame();
      const classified = this.classified(frame, Virtio.SIZE);
      return this.random.chance(this.shares.mutated) ? this.mutate(classified) : classified;
    });
  }

  /** Messages from the tunnel; answers belong to some of the given flows. */
  messages(count: number, flows: readonly TrafficFlow[]): Message[] {
    return Array.from({ length: count }, () => {
      const message = this.message(flows);
      return this.random.chance(this.shares.classes) ? { ...message, trafficClass: this.trafficClass() } : message;
    });
  }

  /** Any ECN, seldom more than a few DSCP. */
  private trafficClass(): number {
    return (this.random.pick(DSCPS) << 2) | this.random.below(4);
  }

  /** With some DSCP and ECN in the packet at `at`. */
  private classified(bytes: Uint8Array, at: number): Uint8Array {
    return this.random.chance(this.shares.classes) ? reclassified(bytes, at, this.trafficClass()) : bytes;
  }

  private frame(): Uint8Array {
    const { random } = this;
    const local = this.world.localInstance();
    const isV4 = this.familyFor(local);
    const src = random.chance(0.97) ? familyOf(local.namespaceAddresses, isV4) : this.world.anyAddress(isV4);
    const dst = this.world.calledAddress(isV4);
    const isTcp = random.chance(0.5);
    if (random.chance(this.shares.otherKinds)) return virtioFrame(otherPacket(random, src, dst), {});
    if (random.chance(this.shares.errors)) return virtioFrame(this.errorOut(src, dst), {});
    const [sport, dport] = [random.pick(SOURCE_PORTS), random.pick(SERVICE_PORTS)];
    const ordinary = (): Uint8Array => this.framed(this.packet(src, dst, sport, dport, isTcp), isV4, isTcp);
    return this.unusual(src, dst, { sport, dport }) ?? ordinary();
  }

  /** Mostly one that the workload has. */
  private familyFor({ namespaceAddresses }: Instance): boolean {
    return this.random.chance(0.97) ? isV4(this.random.pick(namespaceAddresses)) : this.random.chance(0.5);
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
    const from = random.chance(0.8) ? src : this.world.anyAddress(isV4(src));
    return icmpError(random, from, random.chance(0.95) ? dst : this.world.anyAddress(isV4(src)), quoted);
  }

  /** The next packet of a flow's client, or its error about an answer. */
  private nextFrame(flow: TrafficFlow): Uint8Array {
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
    return this.framed(bytes, clientAddress.length === 4, flow.protocol === Protocol.TCP);
  }

  private framed(bytes: Uint8Array, isV4: boolean, isTcp: boolean): Uint8Array {
    const frame = virtioFrame(bytes, {});
    if (!this.random.chance(0.3)) return frame;
    // Its checksum is unfinished: what is in the field is taken for the partial sum.
    frame[0] = 1;
    frame[6] = isV4 ? 20 : 40;
    frame[8] = isTcp ? 16 : 6;
    // No sum of a pseudo-header is zero.
    const field = Virtio.SIZE + (isV4 ? 20 : 40) + (isTcp ? 16 : 6);
    if (frame[field] === 0 && frame[field + 1] === 0) frame[field] = 1;
    return frame;
  }

  private message(flows: readonly TrafficFlow[]): Message {
    const { random } = this;
    const from = this.world.senderOf(random.pick(this.world.nodes));
    if (flows.length > 0 && random.chance(0.6)) {
      const flow = this.answeredFlow(flows);
      const node = this.world.nodes.find((one) => one.id === flow.target.node);
      const sender = node !== undefined && random.chance(0.95) ? this.world.senderOf(node) : from;
      if (random.chance(2 * this.shares.fragments)) {
        return this.fragment(() => ({ context: sender, packet: this.longAnswer(flow) }));
      }
      return this.received(sender, () => {
        if (random.chance(this.shares.errors)) return this.errorAbout(flow);
        return random.chance(this.shares.large) ? this.largeAnswer(flow) : this.templates.answer(flow, random);
      });
    }
    if (random.chance(0.01)) return this.probe(from);
    if (random.chance(this.shares.runs)) return this.run(from);
    const local = this.world.localInstance();
    const isV4 = this.familyFor(local);
    const dst = random.chance(0.95) ? familyOf(local.namespaceAddresses, isV4) : this.world.anyAddress(isV4);
    const roll = random.below(100);
    const src =
      roll < 88 ? this.callerAddress(isV4) : roll < 90 ? this.world.calledAddress(isV4) : this.world.anyAddress(isV4);
    const home = this.world.homeOf(src);
    const sender = home !== undefined && random.chance(0.8) ? this.world.senderOf(home) : from;
    if (random.chance(this.shares.fragments)) {
      return this.fragment(() => ({ context: sender, packet: this.longPacket(src, dst) }));
    }
    return this.received(sender, () => {
      if (random.chance(this.shares.otherKinds)) return otherPacket(random, src, dst);
      if (random.chance(this.shares.errors)) return this.errorIn(src, dst);
      return this.packet(src, dst, random.pick(SERVICE_PORTS), random.pick(SOURCE_PORTS), random.chance(0.5));
    });
  }

  /** A flow that is answered through the tunnel, if a few tries find one. */
  private answeredFlow(flows: readonly TrafficFlow[]): TrafficFlow {
    const isRemote = ({ target }: TrafficFlow): boolean => this.world.nodes.some(({ id }) => id === target.node);
    const tries = Array.from({ length: TRIES }, () => this.random.pick(flows));
    return tries.find(isRemote) ?? (tries[0] as TrafficFlow);
  }

  /** An instance address of another node, if a few tries find one. */
  private callerAddress(isV4: boolean): string {
    const tries = Array.from({ length: TRIES }, () => this.world.instanceAddress(isV4));
    return tries.find((address) => this.world.homeOf(address) !== undefined) ?? (tries[0] as string);
  }

  /** The next fragment on its way from another node; `build` makes another packet. */
  private fragment(build: () => { readonly context: Sender; readonly packet: Uint8Array }): Message {
    const { context, bytes } = this.fragmentsIn.next(build);
    return this.received(context, () => bytes);
  }

  /** An answer of a flow's instance about as large as a path takes. */
  private largeAnswer(flow: TrafficFlow): Uint8Array {
    const [src, dst] = [rawText(flow.answerSource), rawText(flow.answerDestination)];
    return largePacket(this.random, src, dst, { sport: flow.calledPort, dport: flow.wirePort });
  }

  /** An answer of a flow's instance that must be fragmented. */
  private longAnswer(flow: TrafficFlow): Uint8Array {
    const { random } = this;
    if (!hasPorts(flow.protocol)) return this.templates.answer(flow, random);
    const [src, dst] = [rawText(flow.answerSource), rawText(flow.answerDestination)];
    const isTcp = flow.protocol === Protocol.TCP;
    return this.templates.packet(src, dst, isTcp, this.longLength(), random, flow.calledPort, flow.wirePort);
  }

  private longLength(): number {
    return this.random.chance(0.5) ? this.random.between(1500, 4000) : this.random.below(400);
  }

  /** An error of a flow's instance, or of its node, about a packet of the flow's client. */
  private errorAbout(flow: TrafficFlow): Uint8Array {
    const { random } = this;
    const [client, instance] = [rawText(flow.answerDestination), rawText(flow.answerSource)];
    const quoted = this.templates.of(flow.protocol, random, client, instance, flow.wirePort, flow.calledPort);
    return icmpError(random, random.chance(0.9) ? instance : this.world.anyAddress(isV4(client)), client, quoted);
  }

  /** What must be fragmented, of any kind. */
  private longPacket(src: string, dst: string): Uint8Array {
    const { random } = this;
    const length = this.longLength();
    if (random.chance(0.3)) return otherPacket(random, src, dst, length);
    const ports = [random.pick(SOURCE_PORTS), random.pick(SERVICE_PORTS)] as const;
    return this.templates.packet(src, dst, random.chance(0.3), length, random, ...ports);
  }

  /** An error about what a local workload sent, which may have no flow (any more). */
  private errorIn(src: string, dst: string): Uint8Array {
    const { random } = this;
    const quoted = random.chance(0.5)
      ? otherPacket(random, random.chance(0.9) ? dst : this.world.anyAddress(isV4(dst)), src)
      : this.packet(dst, src, random.pick(SOURCE_PORTS), random.pick(SERVICE_PORTS), random.chance(0.5));
    return icmpError(random, src, dst, quoted);
  }

  /** One datagram, or several of one size as UDP_GRO delivers them. */
  private received(from: Sender, build: () => Uint8Array): Message {
    const { random } = this;
    const mutated = (bytes: Uint8Array): Uint8Array =>
      random.chance(this.shares.mutated) ? this.mutate(bytes) : bytes;
    const classified = (): Uint8Array => this.classified(build(), 0);
    const first = classified();
    if (!random.chance(0.1)) {
      return { ...from, bytes: mutated(first), isTruncated: random.chance(0.002) };
    }
    const parts = Array.from({ length: random.between(2, 8) }, () => {
      const bytes = mutated(classified());
      return bytes.length > first.length ? first : pad(bytes, first.length - bytes.length);
    });
    const whole = Buffer.concat(parts);
    return { ...from, bytes: whole.subarray(0, whole.length - random.below(first.length)), segmentSize: first.length };
  }

  /** What a peer makes of a super-packet: segments in a row, of which now and then one differs. */
  private run(from: Sender): Message {
    const { random } = this;
    const local = this.world.localInstance();
    const isV4 = this.familyFor(local);
    const src = this.callerAddress(isV4);
    const home = this.world.homeOf(src);
    const build = packet().ip(src, familyOf(local.namespaceAddresses, isV4));
    const isTcp = random.chance(0.7);
    const size = random.pick([16, 100, 536]);
    const count = random.between(2, 12);
    let seq = random.u32();
    const oddOne = random.below(3 * count);
    const parts = Array.from({ length: count }, (_, i) => {
      const isOdd = i === oddOne;
      const flags = isOdd ? random.pick(TCP_FLAGS) : i === count - 1 ? FLAG.ACK | FLAG.PSH : FLAG.ACK;
      const window = isOdd ? random.u32() & 0xffff : 500;
      const ports = { sport: 80, dport: isOdd ? random.pick(SOURCE_PORTS) : 40000 };
      const transport = isTcp ? build.tcp({ ...ports, seq, flags, window }) : build.udp(ports);
      const bytes = transport.payload(random.bytes(size)).bytes();
      seq = (seq + (isOdd && random.chance(0.5) ? 1 : size)) >>> 0;
      if (isV4) setIdentification(bytes, 0xfffe + i);
      return isOdd && random.chance(0.3) ? this.mutate(bytes).subarray(0, bytes.length) : bytes;
    });
    const length = Math.max(...parts.map((bytes) => bytes.length));
    const trafficClass = random.chance(this.shares.classes) ? this.trafficClass() : 0;
    const whole = Buffer.concat(
      parts.map((bytes) => reclassified(bytes, 0, trafficClass)).map((bytes) => pad(bytes, length - bytes.length)),
    );
    const address = home === undefined ? from.address : this.world.nodeNow(home).underlay.address;
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
        // Most bytes that mean something are in front.
        const reach = random.chance(0.8) ? Math.min(copy.length, 64) : copy.length;
        for (let i = random.between(1, 3); i > 0; i--) {
          const at = random.below(reach);
          copy[at] = random.chance(0.5) ? random.u32() : (copy[at] as number) ^ (1 << random.below(8));
        }
        return copy;
      }
    }
  }
}

/** With another DSCP and ECN, if the bytes at `at` are long enough for an IP packet. */
function reclassified(bytes: Uint8Array, at: number, trafficClass: number): Uint8Array {
  if (bytes.length < at + IPV4_HEADER) return bytes;
  const copy = Uint8Array.from(bytes);
  copy.set(withTrafficClass(bytes.subarray(at), trafficClass), at);
  return copy;
}

/** Another IPv4 identification, and the header checksum that goes with it. */
function setIdentification(bytes: Uint8Array, identification: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const before = view.getUint16(4);
  view.setUint16(4, identification & 0xffff);
  view.setUint16(10, incremental(view.getUint16(10), [before], [identification & 0xffff]));
}
