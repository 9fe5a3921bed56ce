// Gives the packets of a capture that came in to one or two sets of modules, and compares: the two with each other, and
// the first with what was recorded.

import * as ProbeLayout from "../../../assembly/shared/layout/probe.ts";
import { reasonOf, SapwoodError } from "../../base/errors.ts";
import { shortText } from "../../base/issues.ts";
import { CapturePoint } from "../../dataplane/capture/capture-contract.ts";
import { packetKey } from "../../dataplane/capture/packet-match.ts";
import type { LeftPacket, PlayedPacket, ReplayedNode } from "../../dataplane/worker/replayed-node.ts";
import {
  DIFFERENT_PARTS,
  type DifferentPart,
  NOT_REPLAYED,
  type NotReplayed,
  type PacketDifference,
  type PacketResult,
  type RecordedDifference,
  type ReplayReport,
} from "../../model/replay-report.ts";
import { type CaptureNames, commentOf, type PacketSaid } from "../observe/capture-names.ts";
import { type ExplanationNames, explanationOf, packetEnds } from "../observe/explanation.ts";
import { LINKTYPE_RAW } from "../observe/pcapng-format.ts";
import type { PcapngInterface, PcapngPacket } from "./pcapng-reader.ts";
import { type Datagram, datagramOf, frameOf } from "./recorded-packet.ts";
import { isProbe, RecordedProbes } from "./recorded-probes.ts";
import { RecordedServices } from "./recorded-services.ts";
import { SideCounts } from "./side-counts.ts";

const PACKET_MAX = 65_535;
/** In the year 2255: later ones are no times, and no clock of an engine shows them. */
const TIME_MAX_US = Number.MAX_SAFE_INTEGER;
/** Packets that are told one by one. */
const TOLD_MAX = 10;
type ReplayedInterface = "tun" | "tunnel";

/** A node with one set of modules. */
export interface PlayedSide {
  readonly node: ReplayedNode;
  /** Of its tables and modules. */
  readonly names: ExplanationNames;
}

export interface ReplayOptions {
  readonly sides: readonly PlayedSide[]; // one or two
  readonly names: CaptureNames;
  /** Of the tables. */
  readonly services: Iterable<string>;
  readonly tunMtu: number;
  /** Virtual time of the first packet, in microseconds. */
  readonly startUs: number;
  /** Is told before an engine gets a packet, and after. */
  readonly watch: { enter(packet: number): void; leave(): void };
}

/** A packet and what is to be done with it. */
interface Task {
  readonly packet: PcapngPacket;
  readonly at: ReplayedInterface;
  readonly datagram: Datagram | undefined; // of the tunnel
}

interface Result extends PlayedPacket {
  readonly said: PacketSaid;
  readonly comment: string;
}

export class Replay {
  readonly #options: ReplayOptions;
  readonly #probes = new RecordedProbes();
  readonly #counts: readonly SideCounts[];
  readonly #notReplayed: Record<NotReplayed, number>;
  #firstUs: number | undefined;
  #nowUs: number;
  #packets = 0;
  #replayed = 0;
  readonly #recorded = { equal: 0, otherInstance: 0, different: 0, untold: 0 };
  readonly #services: RecordedServices;
  readonly #recordedFirst: RecordedDifference[] = [];
  #different = 0;
  readonly #differentFirst: PacketDifference[] = [];

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#nowUs = options.startUs;
    this.#services = new RecordedServices(options.services);
    this.#counts = options.sides.map(() => new SideCounts());
    this.#notReplayed = Object.fromEntries(NOT_REPLAYED.map((why) => [why, 0])) as Record<NotReplayed, number>;
  }

  /** The capture names services, and the tables have none of them. */
  get hasOtherTables(): boolean {
    return this.#services.areForeign;
  }

  /** The next packet of the file, in the order of time. Throws module-refused when an engine fails at it. */
  take(packet: PcapngPacket): void {
    this.#packets += 1;
    const task = this.#task(packet);
    if (typeof task === "string") this.#notReplayed[task] += 1;
    else this.#play(task);
  }

  report(): Pick<ReplayReport, "packets" | "replayed" | "notReplayed" | "recorded" | "differences"> & {
    readonly sides: ReturnType<SideCounts["report"]>[];
  } {
    return {
      packets: this.#packets,
      replayed: this.#replayed,
      notReplayed: this.#notReplayed,
      recorded: { ...this.#recorded, unknownServices: this.#services.unknown(), first: this.#recordedFirst },
      sides: this.#counts.map((side) => side.report()),
      differences: this.#counts.length < 2 ? null : { packets: this.#different, first: this.#differentFirst },
    };
  }

  #task(packet: PcapngPacket): Task | NotReplayed {
    const at = interfaceOf(packet.interface);
    if (at === undefined) return "foreign";
    if (packet.direction === undefined) return "undirected";
    const datagram = at === "tunnel" ? datagramOf(packet.bytes) : undefined;
    if (packet.direction === "outbound") {
      if (datagram !== undefined) this.#probes.noteSent(datagram, packet.timeUs);
      return "outbound";
    }
    if (packet.bytes.length < packet.length) return "snapped";
    if (packet.bytes.length > PACKET_MAX || packet.timeUs < 0 || packet.timeUs > TIME_MAX_US) return "malformed";
    if (at === "tunnel" && (datagram === undefined || datagram.payload.length < datagram.length)) return "malformed";
    return { packet, at, datagram };
  }

  #play(task: Task): void {
    const { packet } = task;
    this.#firstUs ??= packet.timeUs;
    this.#nowUs = Math.max(this.#nowUs, this.#options.startUs + packet.timeUs - this.#firstUs);
    const rttUs = task.datagram && this.#probes.rttOf(task.datagram, packet.timeUs);
    this.#options.watch.enter(packet.number);
    const played = this.#options.sides.map(({ node }) => this.#playOn(node, task, rttUs));
    this.#options.watch.leave();
    const results = played.flatMap((one) => (one === undefined ? [] : [this.#resultOf(task, one)]));
    if (results.length < played.length) {
      this.#notReplayed.answers += 1;
      return;
    }
    this.#replayed += 1;
    results.forEach((result, i) => this.#counts[i]?.add(task.at, result.said, result.hasOpenedFlow));
    const [first, second] = results as [Result, Result | undefined];
    this.#compareRecorded(packet, first);
    if (second !== undefined) this.#compare(task, first, second);
  }

  /** Undefined: it answers what the replayed node did not ask. */
  #playOn(node: ReplayedNode, { packet, datagram }: Task, rttUs: number | undefined): PlayedPacket | undefined {
    try {
      node.advance(this.#nowUs);
      if (datagram === undefined) {
        return node.play({ direction: "egress", frame: frameOf(packet.bytes, this.#options.tunMtu) });
      }
      const { from, payload: bytes, trafficClass } = datagram;
      const message = { bytes, from, trafficClass };
      if (!isProbe(bytes, ProbeLayout.REPLY)) return node.play({ direction: "ingress", message });
      return rttUs === undefined ? undefined : node.answerProbe(message, rttUs);
    } catch (cause) {
      if (cause instanceof SapwoodError) throw cause;
      const sentence = `The engine failed at packet ${packet.number}: ${reasonOf(cause)}.`;
      throw new SapwoodError("module-refused", sentence, { cause });
    }
  }

  #resultOf(task: Task, played: PlayedPacket): Result {
    const inner = innerOf(task);
    const { destination = "" } = packetKey(inner, inner.length) ?? {};
    const said = this.#options.names.said(played.verdict, played.reason, destination, played.target);
    return { ...played, said, comment: commentOf(said) };
  }

  #compareRecorded({ number, comment }: PcapngPacket, { comment: replayed }: Result): void {
    const recorded = verdictOf(comment);
    if (recorded !== undefined) this.#services.add(comment);
    if (recorded === undefined) this.#recorded.untold += 1;
    else if (comment === replayed) this.#recorded.equal += 1;
    else if (recorded === verdictOf(replayed)) this.#recorded.otherInstance += 1;
    else {
      this.#recorded.different += 1;
      if (this.#recordedFirst.length < TOLD_MAX) {
        this.#recordedFirst.push({ packet: number, recorded: shortText(comment), replayed });
      }
    }
  }

  #compare(task: Task, first: Result, second: Result): void {
    const { packet, at } = task;
    const what = DIFFERENT_PARTS.filter((part) => isDifferent(part, first, second));
    if (what.length === 0) return;
    this.#different += 1;
    if (this.#differentFirst.length === TOLD_MAX) return;
    this.#differentFirst.push({
      ...{ packet: packet.number, time: timeText(packet.timeUs), interface: at, what },
      results: [this.#told(task, first, 0), this.#told(task, second, 1)],
    });
  }

  /** Before another packet is played. */
  #told(task: Task, { comment, left }: Result, index: 0 | 1): PacketResult {
    const { node, names } = this.#options.sides[index] as PlayedSide;
    const rehearsal = node.explain(task.at === "tun" ? "egress" : "ingress");
    return {
      said: comment,
      left: left.map(leftText),
      explanation: explanationOf(packetEnds(innerOf(task)), rehearsal, names),
    };
  }
}

/** As the workload sent it, or is to get it. */
function innerOf({ packet, datagram }: Task): Uint8Array {
  return datagram?.payload ?? packet.bytes;
}

/** Undefined: it is none of sapwood's. */
export function interfaceOf(known: PcapngInterface | undefined): ReplayedInterface | undefined {
  if (known?.linkType !== LINKTYPE_RAW) return undefined;
  return known.name === "tun" || known.name === "tunnel" ? known.name : undefined;
}

/** The part of a comment that says verdict and reason; undefined: it is no comment of a capture. */
function verdictOf(comment: string): string | undefined {
  return /^verdict=\w+(?:; reason=\w+)?/.exec(comment)?.[0];
}

function isDifferent(part: DifferentPart, first: Result, second: Result): boolean {
  if (part !== "bytes") return first.said[part] !== second.said[part];
  return first.left.length !== second.left.length || first.left.some((one, i) => !isSame(one, second.left[i]));
}

function isSame(one: LeftPacket, other: LeftPacket | undefined): boolean {
  return other !== undefined && one.to === other.to && Buffer.compare(one.bytes, other.bytes) === 0;
}

function leftText({ point, to, bytes }: LeftPacket): string {
  const where = point === CapturePoint.tunOut ? "TUN" : to.replace(" ", " port ");
  return `${where}, ${bytes.length} bytes`;
}

/** ISO 8601 with microseconds; a time that no calendar has as it is. */
function timeText(timeUs: number): string {
  const date = new Date(timeUs / 1000);
  if (Number.isNaN(date.getTime())) return String(timeUs);
  const us = String(Math.floor(timeUs % 1000)).padStart(3, "0");
  return date.toISOString().replace("Z", `${us}Z`);
}
