// The slow, obvious twin of the engine: the rules of translation, with Maps and strings, one packet at a time.
// Two things it does not decide but takes as input: which candidate a policy chose, and which free port the engine
// took when the client's own was taken on the wire. It checks that both are allowed.
import type { Counter } from "../../../assembly/shared/counters.ts";
import { PROBE_REPLY, PROBE_REQUEST, PROBE_SIZE, PROBE_VERSION } from "../../../assembly/shared/layout.ts";
import { IPPROTO_TCP, IPPROTO_UDP, VIRTIO_NET_HDR_SIZE } from "../../../assembly/shared/protocols.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import type { Tables } from "../../../src/control/model.ts";
import { incremental, incrementalSum } from "./checksum.ts";
import { type FlowLife, isRestart, newLife, observe } from "./flow-state.ts";
import { type ParsedPacket, parse, parseOffload } from "./parser.ts";
import { finishChecksum, segment } from "./segmenter.ts";
import { endpointText, type TwinInstance, TwinTables } from "./tables.ts";

export type CounterName = Exclude<keyof typeof Counter, "count">;
export type DropName = Exclude<keyof typeof DropReason, "none" | "count">;
/** "egressPackets", "egressDrop.notIp", "ingressDrop.wrongNode", ... */
export type CountName = CounterName | `${"egress" | "ingress"}Drop.${DropName}`;
export type Counts = Partial<Record<CountName, number>>;

/** What came out, in the order in which it came; datagrams by the endpoint that they go to. */
export interface Output {
  readonly datagrams: Map<string, Uint8Array[]>;
  readonly tunWrites: Uint8Array[];
}

/** One call of the engine's import `policy.choose`. */
export interface Choice {
  /** What the policy answered. */
  readonly index: number;
  readonly flowHash: number;
  readonly clientHash: number;
  /** Instance numbers of the service record's candidates, in their order, and which of them drain. */
  readonly candidates: readonly number[];
  readonly draining: readonly boolean[];
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

export interface TwinFlow {
  readonly key: string;
  readonly reverseKey: string;
  readonly protocol: number;
  readonly client: TwinInstance;
  readonly target: TwinInstance;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly clientInstanceAddress: string;
  readonly called: string;
  readonly calledPort: number;
  readonly targetAddress: string;
  readonly wirePort: number;
  readonly life: FlowLife;
  lastUsedMs: number;
}

export interface TwinOptions {
  readonly nodeId: string;
  readonly ranges: readonly string[];
  readonly timeoutsMs: Readonly<Record<number, number>>; // by FlowState
}

const PORT_LOWEST = 1024;
/** A frame or message with more packets is none that TCP, UDP or the kernel makes: below 33 bytes each. */
const SEGMENTS_MAX = 2047;

export class ReferenceTranslator {
  readonly flows = new Map<string, TwinFlow>();
  readonly reverse = new Map<string, TwinFlow>();
  private readonly tables: TwinTables;
  private readonly timeoutsMs: Readonly<Record<number, number>>;
  private readonly probes: SentProbe[] = [];
  private counts: Counts = {};
  private output: Output = { datagrams: new Map(), tunWrites: [] };

  constructor(
    options: TwinOptions,
    private readonly decisions: Decisions,
  ) {
    this.tables = new TwinTables(options.nodeId, options.ranges);
    this.timeoutsMs = options.timeoutsMs;
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
    for (const flow of [...this.flows.values()]) {
      if (nowMs - flow.lastUsedMs < (this.timeoutsMs[flow.life.state] as number)) continue;
      this.end(flow);
      this.count("flowsExpired", 1);
    }
  }

  private egressOf(frame: Uint8Array, nowMs: number): DropReason {
    if (frame.length < VIRTIO_NET_HDR_SIZE) return DropReason.truncatedFrame;
    const packet = parse(frame.subarray(VIRTIO_NET_HDR_SIZE));
    if (typeof packet === "number") return packet;
    const offload = parseOffload(frame, packet);
    if (offload === undefined || segmentCount(packet, offload.segmentSize) > SEGMENTS_MAX) return DropReason.badOffload;
    if (!this.tables.inServiceRange(packet.destination)) return DropReason.notServiceAddress;

    const flow = this.flowOf(packet, nowMs);
    if (typeof flow === "number") return flow;
    flow.lastUsedMs = nowMs;
    observe(flow.life, flow.protocol, packet.flags, false);

    const bytes = frame.slice(VIRTIO_NET_HDR_SIZE, VIRTIO_NET_HDR_SIZE + packet.totalLength);
    rewrite(bytes, packet, offload.needsChecksum, {
      source: flow.clientInstanceAddress,
      destination: flow.targetAddress,
      sourcePort: flow.wirePort,
      destinationPort: packet.destinationPort,
    });
    if (flow.target.isLocal) {
      return this.deliverLocally(frame.subarray(0, VIRTIO_NET_HDR_SIZE), bytes, offload.segmentSize, nowMs);
    }
    const endpoint = this.tables.endpointOf(flow.target.node);
    if (endpoint === undefined) return DropReason.noNode;
    if (offload.segmentSize > 0) {
      for (const part of segment(bytes, packet, offload.segmentSize)) this.send(endpoint, part);
    } else {
      if (offload.needsChecksum) finishChecksum(bytes, packet);
      this.send(endpoint, bytes);
    }
    return DropReason.none;
  }

  /** The flow of an outgoing packet, known or new, or why there is none. */
  private flowOf(packet: ParsedPacket, nowMs: number): TwinFlow | DropReason {
    const key = flowKey(packet, packet.source, packet.destination, packet.sourcePort, packet.destinationPort);
    const known = this.flows.get(key);
    if (known !== undefined) {
      if (isRestart(known.life, packet.flags)) {
        this.count("flowsRestarted", 1);
      } else if (this.tables.isAlive(known.client)) {
        if (this.tables.isAlive(known.target)) return known;
        this.count("flowsRechosen", 1);
      }
      this.end(known);
    }
    return this.open(key, packet, nowMs);
  }

  private open(key: string, packet: ParsedPacket, nowMs: number): TwinFlow | DropReason {
    const family = packet.version === 4 ? "v4" : "v6";
    const client = this.tables.workload(packet.source);
    const clientInstanceAddress = client?.address[family];
    if (client === undefined || clientInstanceAddress === undefined) return DropReason.unknownWorkload;
    const target = this.choose(packet.destination);
    if (typeof target === "number") return target;

    const targetAddress = target.namespace[family];
    const targetInstanceAddress = target.address[family];
    if (targetAddress === undefined || targetInstanceAddress === undefined) return DropReason.noInstance;

    if (!target.isLocal && this.tables.endpointOf(target.node) === undefined) return DropReason.noNode;

    const reverseKeyOf = (port: number): string =>
      flowKey(packet, targetInstanceAddress, packet.source, packet.destinationPort, port);
    let wirePort = packet.sourcePort;
    if (this.reverse.has(reverseKeyOf(wirePort))) {
      wirePort = this.chosenPort(target);
      if (wirePort < PORT_LOWEST || wirePort > 65535) throw new Error(`wire port ${wirePort} is out of range`);
      if (this.reverse.has(reverseKeyOf(wirePort))) throw new Error(`wire port ${wirePort} belongs to another flow`);
      this.count("portsRewritten", 1);
    }
    const flow: TwinFlow = {
      key,
      reverseKey: reverseKeyOf(wirePort),
      protocol: packet.protocol,
      client,
      target,
      clientAddress: packet.source,
      clientPort: packet.sourcePort,
      clientInstanceAddress,
      called: packet.destination,
      calledPort: packet.destinationPort,
      targetAddress,
      wirePort,
      life: newLife(packet.protocol),
      lastUsedMs: nowMs,
    };
    this.flows.set(flow.key, flow);
    this.reverse.set(flow.reverseKey, flow);
    this.count("flowsOpened", 1);
    return flow;
  }

  private choose(called: string): TwinInstance | DropReason {
    const address = this.tables.address(called);
    if (address === undefined) return DropReason.unknownAddress;
    if (address.kind === "instance") return address.instance;
    if (address.candidates.length === 0) return DropReason.noInstance;

    const choice = this.decisions.nextChoice();
    if (choice === undefined) throw new Error("the engine did not ask a policy for this flow");
    const candidates = choice.candidates.map((number, i) => {
      const candidate = address.candidates.find((one) => one.instance.number === number);
      if (candidate === undefined || candidate.isDraining !== choice.draining[i]) {
        throw new Error(`candidate ${number} is not, or not so, in the tables`);
      }
      return candidate;
    });
    if (candidates.length !== address.candidates.length) throw new Error("the policy saw another set of candidates");

    const chosen = candidates[choice.index];
    if (chosen !== undefined && !chosen.isDraining) {
      this.count("policyChoices", 1);
      return chosen.instance;
    }
    const start = choice.flowHash % candidates.length;
    const fallback = [...candidates.slice(start), ...candidates.slice(0, start)].find((one) => !one.isDraining);
    if (fallback === undefined) return DropReason.noInstance;
    this.count("policyFallbacks", 1);
    return fallback.instance;
  }

  private chosenPort(target: TwinInstance): number {
    const endpoint = target.isLocal ? undefined : this.tables.endpointOf(target.node);
    const place = endpoint === undefined ? this.output.tunWrites : (this.output.datagrams.get(endpoint) ?? []);
    return this.decisions.wirePort(endpoint ?? "tun", place.length) ?? Number.NaN;
  }

  /** Both ends on this node: the packet goes back into the TUN, unsegmented, as the workload's offloads left it. */
  private deliverLocally(header: Uint8Array, bytes: Uint8Array, segmentSize: number, nowMs: number): DropReason {
    const packet = parse(bytes) as ParsedPacket;
    // No sender to hold against the flow: the source is what egress just wrote.
    const flow = this.reverseFlowOf(packet);
    if (flow !== undefined) this.receiveReply(flow, packet, bytes, (header[0] as number) % 2 === 1, nowMs);
    const write = new Uint8Array(header.length + bytes.length);
    write.set(header);
    write.set(bytes, header.length);
    this.output.tunWrites.push(write);
    this.countPackets("local", packet, segmentSize);
    return DropReason.none;
  }

  private ingressOf(message: Message, datagram: Uint8Array, nowMs: number): DropReason {
    if (datagram[0] === 0x53 && datagram[1] === 0x57) return this.probe(message, datagram);
    const packet = parse(datagram);
    if (typeof packet === "number") return packet;

    const bytes = datagram.slice(0, packet.totalLength);
    const flow = this.reverseFlowOf(packet);
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
    const write = new Uint8Array(VIRTIO_NET_HDR_SIZE + bytes.length);
    write.set(bytes, VIRTIO_NET_HDR_SIZE);
    this.output.tunWrites.push(write);
    this.countPackets("ingress", packet, 0);
    return DropReason.none;
  }

  private reverseFlowOf(packet: ParsedPacket): TwinFlow | undefined {
    const key = flowKey(packet, packet.source, packet.destination, packet.sourcePort, packet.destinationPort);
    const flow = this.reverse.get(key);
    if (flow === undefined || this.tables.isAlive(flow.client)) return flow;
    // Its client is gone, and the address may be another's by now.
    this.end(flow);
    return undefined;
  }

  private receiveReply(
    flow: TwinFlow,
    packet: ParsedPacket,
    bytes: Uint8Array,
    isPartial: boolean,
    nowMs: number,
  ): void {
    flow.lastUsedMs = nowMs;
    observe(flow.life, flow.protocol, packet.flags, true);
    rewrite(bytes, packet, isPartial, {
      source: flow.called,
      destination: packet.destination,
      sourcePort: packet.sourcePort,
      destinationPort: flow.clientPort,
    });
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

  private end(flow: TwinFlow): void {
    this.flows.delete(flow.key);
    this.reverse.delete(flow.reverseKey);
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

interface Ends {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** Changes addresses and ports and, by difference, every checksum that covers them. */
function rewrite(bytes: Uint8Array, packet: ParsedPacket, isPartial: boolean, ends: Ends): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const addressesBefore = [...latin1Words(packet.source), ...latin1Words(packet.destination)];
  const addressesAfter = [...latin1Words(ends.source), ...latin1Words(ends.destination)];
  const addressesAt = packet.version === 4 ? 12 : 8;
  addressesAfter.forEach((word, i) => view.setUint16(addressesAt + 2 * i, word));
  view.setUint16(packet.headerLength, ends.sourcePort);
  view.setUint16(packet.headerLength + 2, ends.destinationPort);
  if (packet.version === 4) view.setUint16(10, incremental(view.getUint16(10), addressesBefore, addressesAfter));

  const isUdp = packet.protocol === IPPROTO_UDP;
  const at = packet.headerLength + (packet.protocol === IPPROTO_TCP ? 16 : 6);
  const checksum = view.getUint16(at);
  if (isPartial) {
    // Only the pseudo-header is in the field, and that has no ports.
    view.setUint16(at, incrementalSum(checksum, addressesBefore, addressesAfter));
    return;
  }
  // RFC 768: zero means that the sender computed none. In IPv6 too, where RFC 6935 allows it for tunnels.
  if (isUdp && checksum === 0) return;
  const updated = incremental(
    checksum,
    [...addressesBefore, packet.sourcePort, packet.destinationPort],
    [...addressesAfter, ends.sourcePort, ends.destinationPort],
  );
  view.setUint16(at, isUdp && updated === 0 ? 0xffff : updated);
}

/** Packets that a super-packet stands for; a segment size of 0 says that it is none. */
function segmentCount(packet: ParsedPacket, segmentSize: number): number {
  const payload = packet.totalLength - packet.headerLength - packet.transportLength;
  return segmentSize === 0 ? 1 : Math.max(1, Math.ceil(payload / segmentSize));
}

function latin1Words(address: string): number[] {
  const result: number[] = [];
  for (let i = 0; i < address.length; i += 2) result.push(address.charCodeAt(i) * 256 + address.charCodeAt(i + 1));
  return result;
}

function flowKey(packet: ParsedPacket, source: string, destination: string, sport: number, dport: number): string {
  return String.fromCharCode(packet.protocol, sport, dport) + source + destination;
}
