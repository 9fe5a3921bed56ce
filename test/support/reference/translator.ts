// The slow, obvious twin of the engine: the rules of translation, with Maps and strings, one packet at a time.
import { PROBE_REPLY, PROBE_REQUEST, PROBE_SIZE, PROBE_VERSION } from "../../../assembly/shared/layout.ts";
import { VIRTIO_NET_HDR_SIZE } from "../../../assembly/shared/protocols.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import type { Tables } from "../../../src/control/model.ts";
import { virtioFrame } from "../packet-builder.ts";
import type { CountName, Counts, DropName } from "./counts.ts";
import { observe } from "./flow-state.ts";
import { type Choice, type TwinFlow, TwinFlows } from "./flows.ts";
import { type Origin, TwinFragments } from "./fragments.ts";
import { type Ends, type Offload, type ParsedPacket, parse, parseOffload } from "./parser.ts";
import { rewrite } from "./rewrite.ts";
import { finishChecksum, finishInnerChecksum, segment } from "./segmenter.ts";
import { endpointText, type TwinInstance, TwinTables } from "./tables.ts";

/** What came out, in the order in which it came; datagrams by the endpoint that they go to. */
export interface Output {
  readonly datagrams: Map<string, Uint8Array[]>;
  readonly tunWrites: Uint8Array[];
}

/** The inputs that are the engine's or the policy's to decide. */
export interface Decisions {
  nextChoice(): Choice | undefined;
  /** Source port of the packet that the engine put at this place of its output. */
  wirePort(endpoint: string | "tun", index: number): number | undefined;
}

/** A message as recvmmsg delivers it. */
export interface Message {
  readonly address: string; // of the sender, canonical text
  readonly port: number;
  readonly bytes: Uint8Array;
  /** From the UDP_GRO control message; undefined = the message is one datagram. */
  readonly segmentSize?: number | undefined;
  readonly isTruncated?: boolean | undefined;
}

/** What the twin needs to know of a probe that this node sent. */
export interface SentProbe {
  readonly nodeIndex: number;
  readonly nonce: bigint;
  readonly address: string;
}

export interface TwinOptions {
  readonly nodeId: string;
  readonly ranges: readonly string[];
  readonly timeoutsMs: Readonly<Record<number, number>>; // by FlowState
}

/** A frame or message with more packets is none that TCP, UDP or the kernel makes: below 33 bytes each. */
const SEGMENTS_MAX = 2047;
/** Headers that the engine has room to repeat. */
const HEADERS_MAX = 256;

/** Where a packet goes, as whom it comes and to whom. */
interface Way {
  readonly target: TwinInstance;
  readonly ends: Ends;
}

/** What becomes of every fragment of a packet; without a node it goes into the TUN. */
interface FragmentWay {
  readonly source: string;
  readonly destination: string;
  readonly node: string | undefined;
}

interface LaterFragment {
  readonly packet: ParsedPacket;
  readonly bytes: Uint8Array;
}

export class ReferenceTranslator {
  private readonly table: TwinFlows;
  private readonly tables: TwinTables;
  private readonly probes: SentProbe[] = [];
  private readonly fragments = new TwinFragments<FragmentWay, LaterFragment>(() => this.count("fragmentsForgotten", 1));
  private counts: Counts = {};
  private output: Output = { datagrams: new Map(), tunWrites: [] };

  constructor(
    { nodeId, ranges, timeoutsMs }: TwinOptions,
    private readonly decisions: Decisions,
  ) {
    this.tables = new TwinTables(nodeId, ranges);
    this.table = new TwinFlows(
      this.tables,
      timeoutsMs,
      { nextChoice: () => this.decisions.nextChoice(), wirePort: (target) => this.chosenPort(target) },
      (name, by) => this.count(name, by),
    );
  }

  get flows(): ReadonlyMap<string, TwinFlow> {
    return this.table.forward;
  }

  forgetFlows(): void {
    this.table.clear();
  }

  /** The next generation. */
  apply(tables: Tables): void {
    this.tables.apply(tables);
  }

  /** A probe that the engine sent; its reply will be accepted. */
  expectReply(probe: SentProbe): void {
    const known = this.probes.findIndex((other) => other.nodeIndex === probe.nodeIndex);
    if (known >= 0) this.probes.splice(known, 1);
    this.probes.push(probe);
  }

  /** What came out and was counted since the last call. */
  take(): { output: Output; counts: Counts } {
    const taken = { output: this.output, counts: this.counts };
    this.output = { datagrams: new Map(), tunWrites: [] };
    this.counts = {};
    return taken;
  }

  /** Time passes: drops fragments whose first one does not come. */
  pass(nowMs: number): void {
    for (const origin of this.fragments.expire(nowMs)) {
      this.drop(origin === "egress" ? "egress" : "ingress", DropReason.fragmentOrphan);
    }
  }

  /** A frame from the TUN. */
  egress(frame: Uint8Array, nowMs: number): void {
    const reason = this.egressOf(frame, nowMs);
    if (reason !== DropReason.none) this.drop("egress", reason);
  }

  /** A message from the tunnel's socket. */
  ingress(message: Message, nowMs: number): void {
    if (message.bytes.length === 0) return this.drop("ingress", DropReason.emptyDatagram);
    if (message.isTruncated) return this.drop("ingress", DropReason.truncatedFrame);
    const size = message.segmentSize ?? message.bytes.length;
    if (Math.floor(message.bytes.length / size) >= SEGMENTS_MAX) return this.drop("ingress", DropReason.badOffload);
    for (let at = 0; at < message.bytes.length; at += size) {
      const reason = this.ingressOf(message, message.bytes.subarray(at, at + size), nowMs);
      if (reason !== DropReason.none) this.drop("ingress", reason);
    }
  }

  /** Ends what has been idle for too long. */
  sweep(nowMs: number): void {
    this.table.sweep(nowMs);
  }

  private egressOf(frame: Uint8Array, nowMs: number): DropReason {
    if (frame.length < VIRTIO_NET_HDR_SIZE) return DropReason.truncatedFrame;
    const packet = parse(frame.subarray(VIRTIO_NET_HDR_SIZE));
    if (typeof packet === "number") return packet;
    const offload = parseOffload(frame, packet);
    if (offload === undefined || !isSegmentable(packet, offload)) return DropReason.badOffload;

    if (packet.kind === "laterFragment")
      return this.laterFragment("egress", packet, frame.subarray(VIRTIO_NET_HDR_SIZE), nowMs);
    const way = packet.embedded === undefined ? this.wayOf(packet, nowMs) : this.wayOfError(packet, packet.embedded);
    if (typeof way === "number") return way;
    const bytes = frame.slice(VIRTIO_NET_HDR_SIZE, VIRTIO_NET_HDR_SIZE + packet.totalLength);
    rewrite(bytes, packet, way.ends, offload.needsChecksum ? "partial" : "whole");
    if (way.target.isLocal) {
      this.deliverLocally(frame.subarray(0, VIRTIO_NET_HDR_SIZE), bytes, offload.segmentSize, nowMs);
      this.firstFragment("egress", packet, bytes, undefined, nowMs);
      return DropReason.none;
    }
    const endpoint = this.tables.endpointOf(way.target.node);
    if (endpoint === undefined) return DropReason.noNode;
    for (const whole of finished(bytes, packet, offload)) this.send(endpoint, whole);
    this.firstFragment("egress", packet, bytes, way.target.node, nowMs);
    return DropReason.none;
  }

  /** What became of a packet; if it is a first fragment, the same becomes of the others, also of those that wait. */
  private firstFragment(
    origin: Origin,
    packet: ParsedPacket,
    bytes: Uint8Array,
    node: string | undefined,
    nowMs: number,
  ): void {
    if (packet.fragment?.offset !== 0) return;
    const { source, destination } = parse(bytes) as ParsedPacket;
    const way = { source, destination, node };
    for (const later of this.fragments.note(origin, packet, way, nowMs)) this.passOn(origin, later, way);
  }

  private laterFragment(origin: Origin, packet: ParsedPacket, bytes: Uint8Array, nowMs: number): DropReason {
    const fragment = { packet, bytes: bytes.slice(0, packet.totalLength) };
    const way = this.fragments.wayOf(origin, packet, nowMs);
    if (way !== undefined) this.passOn(origin, fragment, way);
    else if (!this.fragments.hold(origin, packet, fragment, nowMs)) return DropReason.holdFull;
    else this.count("fragmentsHeld", 1);
    return DropReason.none;
  }

  private passOn(origin: Origin, { packet, bytes }: LaterFragment, way: FragmentWay): void {
    rewrite(bytes, packet, { ...packet, source: way.source, destination: way.destination });
    if (way.node !== undefined) {
      const endpoint = this.tables.endpointOf(way.node);
      if (endpoint === undefined) return this.drop("egress", DropReason.noNode);
      return this.send(endpoint, bytes);
    }
    this.output.tunWrites.push(virtioFrame(bytes, {}));
    this.countPackets(origin === "egress" ? "local" : "ingress", packet, 0);
  }

  /** The way of a packet that has a flow. */
  private wayOf(packet: ParsedPacket, nowMs: number): Way | DropReason {
    if (!this.tables.inServiceRange(packet.destination)) return DropReason.notServiceAddress;
    const flow = this.table.of(packet, nowMs);
    if (typeof flow === "number") return flow;
    flow.lastUsedMs = nowMs;
    observe(flow.life, flow.protocol, packet.flags, false);
    return { target: flow.target, ends: forwardEnds(flow, packet) };
  }

  /**
   * The way of an ICMP error: that of an answer to the packet that it is about. Who sent it does not matter, since a
   * router on this node speaks for the workload (RFC 5508 section 4.2). No flow lives longer or shorter by it.
   */
  private wayOfError(packet: ParsedPacket, embedded: ParsedPacket): Way | DropReason {
    const answer = reversed(embedded);
    if (packet.destination !== answer.destination) return DropReason.unrelatedError;
    const client = this.tables.workload(answer.source);
    if (client === undefined) return DropReason.unknownWorkload;
    const flow = this.table.known(embedded, answer);
    if (flow !== undefined) return { target: flow.target, ends: forwardEnds(flow, answer) };

    const family = packet.version === 4 ? "v4" : "v6";
    const source = client.address[family];
    if (source === undefined) return DropReason.unknownWorkload;
    const receiver = this.tables.address(answer.destination);
    if (receiver?.kind !== "instance") return DropReason.unrelatedError;
    const destination = receiver.instance.namespace[family];
    if (destination === undefined) return DropReason.unrelatedError;
    return { target: receiver.instance, ends: { ...answer, source, destination } };
  }

  private chosenPort(target: TwinInstance): number {
    const endpoint = target.isLocal ? undefined : this.tables.endpointOf(target.node);
    const place = endpoint === undefined ? this.output.tunWrites : (this.output.datagrams.get(endpoint) ?? []);
    return this.decisions.wirePort(endpoint ?? "tun", place.length) ?? Number.NaN;
  }

  /** Both ends on this node: the packet goes back into the TUN, unsegmented, as the workload's offloads left it. */
  private deliverLocally(header: Uint8Array, bytes: Uint8Array, segmentSize: number, nowMs: number): void {
    const packet = parse(bytes) as ParsedPacket;
    // No sender to hold against the flow: the source is what egress just wrote.
    const flow = this.answeredFlow(packet);
    if (flow !== undefined) this.receiveReply(flow, packet, bytes, (header[0] as number) % 2 === 1, nowMs);
    const write = new Uint8Array(header.length + bytes.length);
    write.set(header);
    write.set(bytes, header.length);
    this.output.tunWrites.push(write);
    this.countPackets("local", packet, segmentSize);
  }

  private ingressOf(message: Message, datagram: Uint8Array, nowMs: number): DropReason {
    if (datagram[0] === 0x53 && datagram[1] === 0x57) return this.probe(message, datagram);
    const packet = parse(datagram);
    if (typeof packet === "number") return packet;

    if (packet.kind === "laterFragment") return this.laterFragment(message.address, packet, datagram, nowMs);

    const bytes = datagram.slice(0, packet.totalLength);
    if (packet.embedded !== undefined && packet.embedded.source !== packet.destination)
      return DropReason.unrelatedError;
    const flow = this.answeredFlow(packet);
    if (flow !== undefined) {
      if (flow.target.isLocal || message.address !== this.tables.addressOf(flow.target.node)) {
        return DropReason.wrongNode;
      }
      this.receiveReply(flow, packet, bytes, false, nowMs);
    } else {
      if (this.tables.workload(packet.destination) === undefined) return DropReason.notLocalDestination;
      if (!this.tables.inServiceRange(packet.source)) return DropReason.notServiceSource;
      const source = this.tables.address(packet.source);
      if (source?.kind === "instance") {
        const { instance } = source;
        if (instance.isLocal || message.address !== this.tables.addressOf(instance.node)) return DropReason.wrongNode;
      }
    }
    this.output.tunWrites.push(virtioFrame(bytes, {}));
    this.countPackets("ingress", packet, 0);
    this.firstFragment(message.address, packet, bytes, undefined, nowMs);
    return DropReason.none;
  }

  /** The flow that a packet answers, or that an ICMP error is about. */
  private answeredFlow(packet: ParsedPacket): TwinFlow | undefined {
    const { embedded } = packet;
    return embedded === undefined
      ? this.table.answered(packet, packet)
      : this.table.answered(embedded, reversed(embedded));
  }

  private receiveReply(
    flow: TwinFlow,
    packet: ParsedPacket,
    bytes: Uint8Array,
    isPartial: boolean,
    nowMs: number,
  ): void {
    const answer = packet.embedded === undefined ? packet : reversed(packet.embedded);
    if (packet.embedded === undefined) {
      flow.lastUsedMs = nowMs;
      observe(flow.life, flow.protocol, packet.flags, true);
    }
    const ends = {
      source: flow.called,
      destination: packet.destination,
      sourcePort: answer.sourcePort,
      destinationPort: flow.clientPort,
    };
    rewrite(bytes, packet, ends, isPartial ? "partial" : "whole");
  }

  private probe(message: Message, datagram: Uint8Array): DropReason {
    if (datagram.length < PROBE_SIZE || datagram[2] !== PROBE_VERSION) return DropReason.badProbe;
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    if (datagram[3] === PROBE_REQUEST) {
      const reply = datagram.slice(0, PROBE_SIZE);
      reply[3] = PROBE_REPLY;
      this.deliver(endpointText(message.address, message.port), reply);
      this.count("probesAnswered", 1);
      return DropReason.none;
    }
    const sent = this.probes.findIndex(
      (probe) =>
        datagram[3] === PROBE_REPLY &&
        probe.nodeIndex === view.getUint32(4, true) &&
        probe.nonce === view.getBigUint64(8, true) &&
        probe.address === message.address,
    );
    if (sent < 0) return DropReason.badProbe;
    this.probes.splice(sent, 1);
    this.count("probeReplies", 1);
    return DropReason.none;
  }

  private send(endpoint: string, bytes: Uint8Array): void {
    this.deliver(endpoint, bytes);
    this.count("egressPackets", 1);
    this.count("egressBytes", bytes.length);
  }

  private deliver(endpoint: string, bytes: Uint8Array): void {
    const place = this.output.datagrams.get(endpoint);
    if (place === undefined) this.output.datagrams.set(endpoint, [bytes]);
    else place.push(bytes);
  }

  /** A super-packet counts as the segments that it would be on the wire. */
  private countPackets(direction: "ingress" | "local", packet: ParsedPacket, segmentSize: number): void {
    const count = segmentCount(packet, segmentSize);
    this.count(`${direction}Packets`, count);
    // Each segment repeats the headers.
    this.count(`${direction}Bytes`, packet.totalLength + (count - 1) * (packet.headerLength + packet.transportLength));
  }

  private drop(direction: "egress" | "ingress", reason: DropReason): void {
    this.count(`${direction}Drop.${DropReason[reason] as DropName}`, 1);
  }

  private count(name: CountName, by: number): void {
    this.counts[name] = (this.counts[name] ?? 0) + by;
  }
}

function forwardEnds(flow: TwinFlow, { destinationPort }: Ends): Ends {
  return {
    source: flow.clientInstanceAddress,
    destination: flow.targetAddress,
    sourcePort: flow.wirePort,
    destinationPort,
  };
}

function reversed({ source, destination, sourcePort, destinationPort }: Ends): Ends {
  return {
    source: destination,
    destination: source,
    sourcePort: destinationPort,
    destinationPort: sourcePort,
  };
}

/** The packets that a frame becomes on the wire, each complete. */
function finished(bytes: Uint8Array, packet: ParsedPacket, offload: Offload): Uint8Array[] {
  if (offload.segmentSize > 0) return segment(bytes, packet, offload.segmentSize);
  if (offload.needsChecksum && packet.kind === "transport") finishChecksum(bytes, packet);
  else if (offload.needsChecksum) finishInnerChecksum(bytes, offload.checksum);
  return [bytes];
}

/** Whether a super-packet is one that TCP, UDP or the kernel makes. */
function isSegmentable(packet: ParsedPacket, { segmentSize }: Offload): boolean {
  if (segmentSize === 0) return true;
  return (
    segmentCount(packet, segmentSize) <= SEGMENTS_MAX && packet.headerLength + packet.transportLength <= HEADERS_MAX
  );
}

/** Packets that a super-packet stands for; a segment size of 0 says that it is none. */
function segmentCount(packet: ParsedPacket, segmentSize: number): number {
  const payload = packet.totalLength - packet.headerLength - packet.transportLength;
  return segmentSize === 0 ? 1 : Math.max(1, Math.ceil(payload / segmentSize));
}
