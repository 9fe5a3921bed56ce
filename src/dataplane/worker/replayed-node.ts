// A node whose engine is given packets one by one, at times that the caller says, on a memory of its own. What happens to
// each is told as a capture tells it. Promises: the same packets, times and modules give the same answers.

import { Counter } from "../../../assembly/shared/counters.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import * as ProbeLayout from "../../../assembly/shared/layout/probe.ts";
import * as WaitingLayout from "../../../assembly/shared/layout/waiting.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { backdateProbe } from "../../memory/probe-notes.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import { ADDRESS_SIZE, formatAddress } from "../../net/address.ts";
import { addressKey } from "../../net/address-key.ts";
import { CapturePoint, SNAP_LENGTH_MAX } from "../capture/capture-contract.ts";
import * as CaptureRecord from "../capture/capture-record.ts";
import { createRing, RingReader } from "../capture/capture-ring.ts";
import { CaptureTap } from "../capture/capture-tap.ts";
import { CapturingEngine } from "../capture/capturing-engine.ts";
import { WorkerArea } from "../io/device.ts";
import type { EngineExports } from "../modules/engine-contract.ts";
import type { TestMessage, TestPacket } from "../modules/played-node.ts";
import { type Rehearsal, Stage } from "./rehearsal.ts";
import type { PolicyModule } from "./worker-contract.ts";

/** What leaves a node. */
export interface LeftPacket {
  readonly point: CapturePoint;
  /** "address port" of the node that it is sent to; "" = into the TUN. */
  readonly to: string;
  readonly bytes: Uint8Array;
}

export interface PlayedPacket {
  /** Verdict and DropReason; -1 = the engine says nothing. */
  readonly verdict: number;
  readonly reason: number;
  /** An address of the instance that serves its flow, as in net/address-key.ts; "" = not known. */
  readonly target: string;
  readonly hasOpenedFlow: boolean;
  readonly left: readonly LeftPacket[];
}

interface ReplayedNodeOptions {
  /** That nobody else uses. */
  readonly shared: SharedMemory;
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
}

/** As the loop of a worker has it. */
const ATTEND_US = 50_000;
const SWEEP_US = 1_000_000;
/** Of a pause in which nothing came, its end is lived through; what is due by time only is due by then. */
const PAUSE_MAX_US = 10_000_000;
/** Probes to a node that may be answered yet. */
const PROBES_KEPT = 16;
const NO_TARGET = "\0".repeat(ADDRESS_SIZE);

export class ReplayedNode {
  readonly #stage: Stage;
  readonly #shared: SharedMemory;
  readonly #area: WorkerArea;
  readonly #engine: EngineExports;
  readonly #reader: RingReader;
  /** The first bytes of probes that are not answered, by "address port" of whom they ask. */
  readonly #probes = new Map<string, Uint8Array[]>();
  #nowUs: number;
  #attendedUs: number;
  #sweptUs: number;

  /** `startUs`: of the clock that all times are of. Throws module-refused. */
  constructor({ shared, engine, policies }: ReplayedNodeOptions, startUs: number) {
    this.#shared = shared;
    this.#nowUs = this.#sweptUs = startUs;
    this.#attendedUs = startUs - ATTEND_US; // the first probes are sent before the first packet
    this.#stage = new Stage({ shared, engine, policies, clockMs: () => this.#nowUs / 1000 });
    this.#area = new WorkerArea(shared.memory, 0, 0n);
    const ring = createRing();
    const everything = { bit: 0, snapLength: SNAP_LENGTH_MAX, isDroppedOnly: false };
    this.#engine = new CapturingEngine(
      this.#stage.engine,
      this.#area,
      new CaptureTap(this.#area, ring, [everything], () => 0),
    );
    this.#reader = new RingReader(ring);
  }

  /** Does what is due until then. Times do not go back. */
  advance(nowUs: number): void {
    this.#attendedUs = Math.max(this.#attendedUs, nowUs - PAUSE_MAX_US);
    while (this.#attendedUs + ATTEND_US <= nowUs) {
      this.#attendedUs += ATTEND_US;
      this.#attend(this.#attendedUs);
    }
    this.#nowUs = nowUs;
  }

  /** At the time of advance(). */
  play(packet: TestPacket): PlayedPacket {
    const flowsBefore = this.#flowsOpened;
    this.#stage.put(packet);
    this.#engine[packet.direction](0, 1, this.#nowUs);
    let said: Pick<PlayedPacket, "verdict" | "reason" | "target"> = { verdict: -1, reason: 0, target: "" };
    let isSaid = false;
    const left: LeftPacket[] = [];
    this.#drain((record, leaving) => {
      if (leaving !== undefined) left.push(leaving);
      else if (!isSaid) {
        const target = addressKey(new Uint8Array(record.buffer, record.byteOffset), CaptureRecord.TARGET_AT);
        const [verdict, reason] = [record.getUint8(CaptureRecord.VERDICT_AT), record.getUint8(CaptureRecord.REASON_AT)];
        said = { verdict, reason, target: target === NO_TARGET ? "" : target };
        isSaid = true;
      }
    });
    return { ...said, hasOpenedFlow: this.#flowsOpened !== flowsBefore, left };
  }

  /** What came of the packet that was played last, before time goes on. */
  explain(direction: TestPacket["direction"]): Rehearsal {
    return this.#stage.told(direction);
  }

  /**
   * The node `from` answers this node's own probes, as `reply` answered others, `rttUs` after each was sent. Undefined:
   * it was not asked.
   */
  answerProbe({ bytes: reply, ...message }: TestMessage, rttUs: number): PlayedPacket | undefined {
    const key = `${message.from.address} ${message.from.port}`;
    const asked = this.#probes.get(key) ?? [];
    this.#probes.delete(key);
    let played: PlayedPacket | undefined;
    for (const head of asked) {
      const bytes = Uint8Array.from(head);
      bytes[ProbeLayout.TYPE_AT] = ProbeLayout.REPLY;
      bytes.set(reply.subarray(ProbeLayout.ABILITIES_AT, ProbeLayout.SIZE), ProbeLayout.ABILITIES_AT);
      const nonce = new DataView(bytes.buffer).getBigUint64(ProbeLayout.NONCE_AT, true);
      backdateProbe(this.#shared, nonce, this.#nowUs - rttUs);
      played = this.play({ direction: "ingress", message: { ...message, bytes } });
    }
    return played;
  }

  #attend(nowUs: number): void {
    this.#nowUs = nowUs;
    const parked = WorkerLayout.WAITING_PARKED + WaitingLayout.ROW_COUNT;
    while (this.#area.word(parked) > 0 && this.#engine.unpark(nowUs) > 0) this.#drain(() => undefined);
    if (nowUs - this.#sweptUs >= SWEEP_US) {
      this.#sweptUs = nowUs;
      this.#engine.sweep(nowUs, this.#shared.u32[(HeaderLayout.AT + HeaderLayout.FLOW_NEXT) >>> 2] ?? 0);
    }
    this.#drain(() => undefined);
    this.#engine.probe(nowUs);
    this.#drain((_record, leaving) => {
      if (leaving !== undefined) this.#keepProbe(leaving);
    });
  }

  #keepProbe({ to, bytes }: LeftPacket): void {
    const asked = this.#probes.get(to) ?? [];
    asked.push(bytes.subarray(0, ProbeLayout.SIZE));
    this.#probes.set(to, asked.slice(-PROBES_KEPT));
  }

  #drain(take: (record: DataView, leaving: LeftPacket | undefined) => void): void {
    this.#reader.drain(Number.POSITIVE_INFINITY, (record, packet) => {
      const point = record.getUint8(CaptureRecord.POINT_AT) as CapturePoint;
      if (point === CapturePoint.tunIn || point === CapturePoint.tunnelIn) return take(record, undefined);
      const bytes = packet.slice(0, record.getUint32(CaptureRecord.CAPTURED_AT, true));
      const about = new Uint8Array(record.buffer, record.byteOffset, record.byteLength);
      const isTunnel = point === CapturePoint.tunnelOut;
      const to = isTunnel
        ? `${formatAddress(about, CaptureRecord.PEER_AT)} ${record.getUint16(CaptureRecord.PEER_PORT_AT, true)}`
        : "";
      take(record, { point, to, bytes });
    });
  }

  get #flowsOpened(): number {
    return this.#area.word(WorkerLayout.COUNTERS + 8 * Counter.flowsOpened);
  }
}
