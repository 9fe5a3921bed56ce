// The slow, obvious twin of the engine: the rules of translation, with Maps and strings, one packet at a time.
import { FlowState } from "../../../assembly/shared/layout/flow.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import type { Tables } from "../../../src/model/tables.ts";
import { FLAG } from "../packet-builder.ts";
import { type AnswerOptions, TwinAnswers } from "./answers.ts";
import { TwinCallers } from "./callers.ts";
import type { Counts } from "./counts.ts";
import type { Across } from "./cross-family.ts";
import { cutTo, type Fit, fitToWay, isToBeCut, lengthOf } from "./fit.ts";
import { observe } from "./flow-state.ts";
import { type Choice, type TwinFlow, TwinFlows } from "./flows.ts";
import { TwinLaterFragments } from "./later-fragments.ts";
import { Ledger, type Output, type Place } from "./ledger.ts";
import { clampMss } from "./mss.ts";
import { CARRIED_ALWAYS, TwinNodes } from "./nodes.ts";
import { type OutlierOptions, TwinOutliers } from "./outliers.ts";
import { type ParkOptions, TwinPark } from "./park.ts";
import { type ParsedPacket, parse, parseOffload } from "./parser.ts";
import type { ChecksumState } from "./rewrite.ts";
import { finishInnerChecksum } from "./segmenter.ts";
import { type Frame, TwinSender } from "./sender.ts";
import type { Situation } from "./situations.ts";
import { isSegmentable, SEGMENTS_MAX } from "./super-packet.ts";
import { STRANGER, type TwinInstance, TwinTables } from "./tables.ts";
import { decapsulate, outerClassOf, type TwinOuterClass } from "./traffic-class.ts";
import { translate } from "./translate.ts";
import { replyEnds, TwinWays, type Way } from "./ways.ts";

/** The inputs that are the engine's or the policy's to decide. */
interface Decisions {
  nextChoice(): Choice | undefined;
  /** The identification of the IPv4 header `at` bytes behind the start of the packet there, if the engine made it. */
  identification(place: Place, at: number): number | undefined;
}

/** A message as recvmmsg delivers it. */
export interface Message {
  readonly address: string; // of the sender, canonical text
  readonly port: number;
  readonly bytes: Uint8Array;
  /** From the UDP_GRO control message; undefined = the message is one datagram. */
  readonly segmentSize?: number | undefined;
  /** TOS or traffic class of its outer headers, if the kernel tells it. */
  readonly trafficClass?: number | undefined;
  readonly isTruncated?: boolean | undefined;
}

interface TwinOptions {
  readonly nodeId: string;
  readonly ranges: readonly string[];
  readonly timeoutsMs: Readonly<Record<number, number>>; // by FlowState
  readonly answers?: AnswerOptions; // default: none
  readonly clampMss?: boolean;
  readonly acceptsStrangers?: boolean;
  readonly ownAddresses?: readonly string[];
  readonly tunMtu?: number; // default: not known
  readonly park?: ParkOptions; // default: nothing waits
  readonly passiveHealth?: OutlierOptions | undefined; // default: openings are not judged
  readonly probeIntervalMs?: number; // default: never
  readonly outerClass?: TwinOuterClass; // default: copied, ECN to nodes that take it
}

/** A packet that may go its way. */
interface Ready {
  readonly way: Way;
  readonly translated: Uint8Array;
  readonly fit: Fit;
}

interface Refused {
  readonly reason: DropReason;
  /** What would have fit, where the size is the reason. */
  readonly mtu: number;
}

const COPIED: TwinOuterClass = { dscp: "copy", ecn: "auto" };
const NO_ANSWERS: AnswerOptions = { icmp: false, reset: false, lost: "sent on" };
const AS_IT_IS: Fit = { kind: "whole", segmentSize: 0, mtu: 0, length: 0 };

export class ReferenceTranslator {
  readonly nodes: TwinNodes;
  readonly parked: TwinPark;
  private readonly ledger = new Ledger();
  private readonly table: TwinFlows;
  readonly tables: TwinTables;
  private readonly answers: TwinAnswers;
  private readonly ways: TwinWays;
  private readonly sender = new TwinSender(this.ledger);
  private readonly fragments: TwinLaterFragments;
  private readonly callers: TwinCallers;
  private readonly outliers: TwinOutliers;
  private readonly tunMtu: number;

  constructor(
    private readonly options: TwinOptions,
    private readonly decisions: Decisions,
  ) {
    const { nodeId, ranges, timeoutsMs, answers = NO_ANSWERS, probeIntervalMs = 0, acceptsStrangers = false } = options;
    this.tunMtu = options.tunMtu ?? Number.POSITIVE_INFINITY;
    this.tables = new TwinTables(nodeId, ranges, acceptsStrangers, options.ownAddresses);
    this.nodes = new TwinNodes(this.tables, this.ledger, probeIntervalMs, options.tunMtu);
    this.answers = new TwinAnswers(answers, this.tables, this.ledger);
    this.parked = new TwinPark(options.park, this.tables, this.ledger);
    this.callers = new TwinCallers(options.park?.callerPlaceOf ?? (() => 0));
    this.outliers = new TwinOutliers(options.passiveHealth, this.tables, this.ledger);
    this.table = new TwinFlows(
      this.tables,
      this.nodes,
      this.parked,
      this.outliers,
      { timeoutsMs, resets: answers.reset, lost: answers.lost },
      { nextChoice: () => this.decisions.nextChoice() },
      (name, by) => this.ledger.count(name, by),
      (situation) => this.ledger.meet(situation),
    );
    this.ways = new TwinWays(this.tables, this.table);
    this.fragments = new TwinLaterFragments(
      this.tables,
      this.ways,
      this.nodes,
      this.sender,
      this.ledger,
      this.tunMtu,
      () => this.acrossTo(undefined, 0),
    );
  }

  get flows(): ReadonlyMap<string, TwinFlow> {
    return this.table.forward;
  }

  /** Where the engine's next search for a free wire port goes on. */
  searchPortsFrom(last: number): void {
    this.table.wirePorts.goOnAt(last);
  }

  forgetFlows(): void {
    this.table.clear();
  }

  /** How often each situation was met since the start. */
  get met(): ReadonlyMap<Situation, number> {
    return this.ledger.met;
  }

  /** The next generation. */
  apply(tables: Tables): void {
    this.tables.apply(tables);
    this.nodes.apply();
  }

  /** What came out and was counted since the last call. */
  take(): { output: Output; counts: Counts } {
    return this.ledger.take();
  }

  /** Time passes: drops fragments whose first one does not come. */
  pass(nowMs: number): void {
    this.fragments.expire(nowMs);
  }

  /** A frame from the TUN. */
  egress(frame: Uint8Array, nowMs: number): void {
    const reason = this.egressOf(frame, nowMs);
    if (reason !== DropReason.none) this.ledger.drop("egress", reason);
  }

  /** Lets go what waited for its address, as far as it is known or given up. */
  unpark(nowMs: number): void {
    this.parked.letGo(
      nowMs,
      (address) => this.tables.address(address) !== undefined,
      (frame) => this.egress(frame, nowMs),
      (frame) => {
        const bytes = frame.subarray(Virtio.SIZE);
        const packet = parse(bytes) as ParsedPacket;
        const reason = this.whyUnknown(packet, nowMs);
        this.answers.tell(bytes, packet, reason, 0, nowMs);
        this.ledger.drop("egress", reason);
      },
    );
  }

  /** A message from the tunnel's socket. */
  ingress(message: Message, nowMs: number): void {
    const node = this.tables.nodeOfSender(message.address, message.port);
    if (node === undefined) return this.ledger.drop("ingress", DropReason.unknownNode);
    if (message.bytes.length === 0) return this.ledger.drop("ingress", DropReason.emptyDatagram);
    if (message.isTruncated) return this.ledger.drop("ingress", DropReason.truncatedFrame);
    const size = message.segmentSize ?? message.bytes.length;
    if (Math.floor(message.bytes.length / size) >= SEGMENTS_MAX)
      return this.ledger.drop("ingress", DropReason.badOffload);
    for (let at = 0; at < message.bytes.length; at += size) {
      const reason = this.ingressOf(message, node, message.bytes.subarray(at, at + size), nowMs);
      if (reason !== DropReason.none) this.ledger.drop("ingress", reason);
    }
  }

  /** Ends what has been idle for too long. */
  sweep(nowMs: number): void {
    this.table.sweep(nowMs);
  }

  private egressOf(frame: Uint8Array, nowMs: number): DropReason {
    if (frame.length < Virtio.SIZE) return DropReason.truncatedFrame;
    const bytes = frame.subarray(Virtio.SIZE);
    const packet = parse(bytes);
    if (typeof packet === "number") return packet;
    const offload = parseOffload(frame, packet);
    if (offload === undefined || !isSegmentable(packet, offload)) return DropReason.badOffload;
    if (offload.inner !== undefined) {
      // What is inside is payload, and complete from here on.
      const complete = new Uint8Array(Virtio.SIZE + packet.totalLength);
      complete.set(bytes.subarray(0, packet.totalLength), Virtio.SIZE);
      finishInnerChecksum(complete.subarray(Virtio.SIZE), offload.inner);
      this.ledger.meet("the checksum of a packet inside is finished");
      return this.egressOf(complete, nowMs);
    }
    if (packet.kind === "laterFragment") return this.fragments.receive("egress", packet, bytes, nowMs);
    const whole = { bytes: frame, packet, offload };
    const way = this.ways.of(packet, nowMs);
    const found = way === DropReason.unknownAddress ? this.park(whole, nowMs) : way;
    if (found === DropReason.none) return DropReason.none;
    const ready = typeof found === "number" ? refused(found) : this.ready(whole, found);
    if (!("reason" in ready)) return this.handOver(whole, ready, nowMs);
    if (packet.embedded === undefined) this.answers.tell(bytes, packet, ready.reason, ready.mtu, nowMs);
    return ready.reason;
  }

  private park(frame: Frame, nowMs: number): DropReason {
    const { source, destination } = frame.packet;
    const isOfFlow = this.table.isThere(frame.packet);
    const isAnswer = this.callers.hasCalled(destination, source, nowMs);
    const waits = this.parked.take(frame, isOfFlow || isAnswer, nowMs);
    if (isAnswer && waits === DropReason.none) this.ledger.meet("parked: an answer to a caller that is unknown");
    const isKnown = this.tables.address(frame.packet.destination) !== undefined;
    if (waits === DropReason.none && isKnown) this.ledger.meet("parked: behind others, though the address is known");
    return waits === DropReason.unknownAddress ? this.whyUnknown(frame.packet, nowMs) : waits;
  }

  /** What a packet is dropped for whose address nobody told: one that was denied ends the flow that needs it. */
  private whyUnknown(packet: ParsedPacket, nowMs: number): DropReason {
    const isDenied = this.parked.isDenied(packet.destination, nowMs);
    return isDenied ? this.table.deny(packet) : DropReason.unknownAddress;
  }

  /** Translates a packet and finds out how it fits its way. */
  private ready({ bytes: frame, packet, offload }: Frame, way: Way): Ready | Refused {
    const { target, ends } = way;
    const { segmentSize, needsChecksum } = offload;
    const bytes = frame.subarray(Virtio.SIZE);
    const state = needsChecksum ? "partial" : "whole";
    const translated = translate(bytes, packet, ends, state, this.acrossTo(target, segmentSize));
    if (typeof translated === "number") return refused(translated);
    const parsed = parse(translated) as ParsedPacket;
    // An error tells of the size of others.
    if (packet.embedded !== undefined) return { way, translated, fit: AS_IT_IS };
    const isCrossing = parsed.version !== packet.version;
    const grew = isCrossing && parsed.version === 6;
    const fit = fitToWay(bytes, packet, parsed, segmentSize, this.largestTo(target, grew));
    if (fit.kind === "tooBig") return refused(DropReason.tooBig, fit.mtu);
    if (this.options.clampMss && (packet.flags & FLAG.SYN) !== 0) {
      this.clamp(translated, parsed, target, isCrossing, state);
    }
    return { way, translated, fit };
  }

  /** The largest packet that goes to an instance. One that grew has to fit the links of workloads as well. */
  private largestTo(target: TwinInstance, grew: boolean): number {
    const path = target.isLocal ? Number.POSITIVE_INFINITY : this.nodes.pathMtu(target.node);
    return Math.min(path, grew ? this.tunMtu : Number.POSITIVE_INFINITY);
  }

  /** Answers in the other family have the larger header on one side. */
  private clamp(
    bytes: Uint8Array,
    packet: ParsedPacket,
    target: TwinInstance,
    isCrossing: boolean,
    state: ChecksumState,
  ): void {
    const path = target.isLocal ? Number.POSITIVE_INFINITY : this.nodes.mtu(target.node);
    const headers = packet.version === 4 && !isCrossing ? 40 : 60;
    const lowered = clampMss(bytes, packet, Math.min(this.tunMtu, path) - headers, state);
    if (lowered === undefined) return;
    this.ledger.count("mssClamped");
    this.ledger.meet(path < this.tunMtu ? "MSS lowered to the path" : "MSS lowered to the TUN");
    if (isCrossing) this.ledger.meet("MSS lowered between families");
    this.ledger.meet(state === "partial" ? "MSS lowered: no checksum yet" : `MSS lowered: ${lowered}`);
  }

  /** What is refused from here on is refused as another node would refuse it, which tells nobody. */
  private handOver(frame: Frame, { way, translated, fit }: Ready, nowMs: number): DropReason {
    const { flow, target } = way;
    if (flow !== undefined) this.see(flow, frame.packet, false, nowMs);
    if (target.isLocal) return this.deliverLocally(frame, translated, fit, nowMs);
    const endpoint = this.tables.endpointOf(target.node);
    if (endpoint === undefined) return DropReason.noNode;
    this.sender.toNode(endpoint, translated, frame, fit);
    this.fragments.follow("egress", frame.packet, translated, target.node, nowMs);
    return DropReason.none;
  }

  /** What a packet needs to change its family; only the engine can say the identification that it gave it. */
  private acrossTo(target: TwinInstance | undefined, segmentSize: number): Across {
    const identification = (at: number): number => this.decisions.identification(this.placeFor(target), at) ?? 0;
    return { identification, linkMtu: this.options.tunMtu ?? 0, segmentSize };
  }

  /** Where the next packet to an instance, or to the TUN, is in the output. */
  private placeFor(target: TwinInstance | undefined): Place {
    return this.ledger.next(target === undefined || target.isLocal ? undefined : this.tables.endpointOf(target.node));
  }

  /** Both ends on this node: what the tunnel would carry comes in at once. */
  private deliverLocally(frame: Frame, translated: Uint8Array, fit: Fit, nowMs: number): DropReason {
    const forwarded = parse(translated) as ParsedPacket;
    // No sender to hold against the flow: the source is what egress just wrote.
    const flow = this.ways.answeredFlow(forwarded);
    const state = frame.offload.needsChecksum ? "partial" : "whole";
    const bytes =
      flow === undefined ? translated : this.receiveReply(flow, forwarded, translated, state, fit.segmentSize, nowMs);
    if (typeof bytes === "number") return bytes;
    this.sender.toTun(bytes, frame, this.fitToLinks(frame, parse(bytes) as ParsedPacket, fit.segmentSize));
    this.fragments.follow("egress", frame.packet, bytes, undefined, nowMs);
    return DropReason.none;
  }

  /** How a packet goes back into the TUN: only what became IPv6 and nobody would hear of is cut. */
  private fitToLinks({ bytes, packet }: Frame, delivered: ParsedPacket, segmentSize: number): Fit {
    const length = lengthOf(delivered, segmentSize);
    const before = bytes.subarray(Virtio.SIZE);
    if (isToBeCut(before, packet, delivered, segmentSize)) return cutTo(CARRIED_ALWAYS, packet, segmentSize, length);
    return { kind: "whole", segmentSize, mtu: 0, length };
  }

  /** The TOS or traffic class of the datagram that carries a packet to an endpoint; a probe has no class of its own. */
  outerClass(endpoint: string, packet: Uint8Array): number {
    const options = this.options.outerClass ?? COPIED;
    if (isProbe(packet)) return options.dscp === "copy" ? 0 : options.dscp << 2;
    const takesEcn = this.nodes.takesEcn(endpoint);
    const outerClass = outerClassOf(packet, options, takesEcn);
    this.ledger.meet(`sent to a node that ${takesEcn ? "takes" : "may not take"} the outer ECN`);
    return outerClass;
  }

  private ingressOf(message: Message, node: string, received: Uint8Array, nowMs: number): DropReason {
    if (isProbe(received)) return this.nodes.receiveProbe(message, node, received, nowMs);
    const packet = parse(received);
    if (typeof packet === "number") return packet;
    const { inside, outside, packet: datagram, isMarked } = decapsulate(received, message.trafficClass ?? 0);
    this.ledger.meet(`ECN: ${inside} inside, ${outside} outside`);
    if (datagram === undefined) return DropReason.congestionExperienced;
    if (isMarked) this.ledger.count("ecnMarked");

    if (packet.kind === "laterFragment") return this.fragments.receive(node, packet, datagram, nowMs);

    let bytes: Uint8Array | DropReason = datagram.slice(0, packet.totalLength);
    if (packet.embedded !== undefined && packet.embedded.source !== packet.destination)
      return DropReason.unrelatedError;
    const flow = this.ways.answeredFlow(packet);
    if (flow !== undefined) {
      if (!this.tables.speaksFor(node, flow.target.node)) {
        if (!this.isUnknownNow(packet, node)) return DropReason.wrongNode;
        this.ledger.meet("an answer of an instance that is unknown now");
      }
      bytes = this.receiveReply(flow, packet, bytes, "whole", 0, nowMs);
      if (typeof bytes === "number") return bytes;
    } else {
      const refusal = this.ways.admit(packet, node);
      if (refusal !== DropReason.none) return refusal;
      this.noteCaller(packet, nowMs);
    }
    if (node === STRANGER) this.ledger.meet(flow === undefined ? "a stranger asks" : "a stranger answers");
    if (isToBeCut(datagram, packet, parse(bytes) as ParsedPacket, 0)) this.sender.cutIntoTun(bytes, datagram);
    else this.sender.write("ingress", bytes);
    this.fragments.follow(node, packet, bytes, undefined, nowMs);
    return DropReason.none;
  }

  private noteCaller({ source, destination }: ParsedPacket, nowMs: number): void {
    if (this.tables.address(source) === undefined) this.callers.note(source, destination, nowMs);
  }

  /**
   * Whether a packet comes in the name of an instance that may have been dropped for disuse, from a sender that may.
   */
  private isUnknownNow({ source, embedded }: ParsedPacket, sender: string): boolean {
    const isUnknown = embedded === undefined && this.tables.address(source) === undefined;
    return this.parked.mayAsk && isUnknown && this.tables.acceptsUnknownSources(sender);
  }

  /** What the client gets of an answer, or of an error about a packet of its own. */
  private receiveReply(
    flow: TwinFlow,
    packet: ParsedPacket,
    bytes: Uint8Array,
    state: ChecksumState,
    segmentSize: number,
    nowMs: number,
  ): Uint8Array | DropReason {
    if (packet.embedded !== undefined) this.outliers.erred(flow, bytes, packet, nowMs);
    const translated = translate(bytes, packet, replyEnds(flow, packet), state, this.acrossTo(undefined, segmentSize));
    if (typeof translated === "number" || packet.embedded !== undefined) return translated;
    this.see(flow, packet, true, nowMs);
    return translated;
  }

  private see(flow: TwinFlow, packet: ParsedPacket, isReply: boolean, nowMs: number): void {
    flow.lastUsedMs = nowMs;
    if (isReply) this.outliers.answered(flow, packet, nowMs);
    const before = flow.life.state;
    observe(flow.life, flow.protocol, packet.flags, packet.tcp, isReply);
    const after = flow.life.state;
    if (packet.flags & FLAG.RST && before !== FlowState.tcpClosed) {
      this.ledger.meet(after === before ? "TCP: a reset beyond the window" : "TCP: a reset");
    }
    if (before === FlowState.tcpClosed && after !== before) this.ledger.meet("TCP: both sides go on after a reset");
    if (before === FlowState.tcpHalfClosed && after === FlowState.tcpOpening) {
      this.ledger.meet("TCP: a client begins anew on a half-closed connection");
    }
  }
}

function isProbe(datagram: Uint8Array): boolean {
  return datagram[0] === 0x53 && datagram[1] === 0x57;
}

function refused(reason: DropReason, mtu = 0): Refused {
  return { reason, mtu };
}
