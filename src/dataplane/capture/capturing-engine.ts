// An engine whose packets are captured: what it is given, with what it noted of each, and what it queued. It takes
// the place of the engine only while somebody captures, so that nothing is paid for it otherwise.
// A packet is copied before the engine sees it, because it is rewritten where it is.

import * as KernelLayout from "../../../assembly/shared/layout/kernel.ts";
import * as VerdictNoteLayout from "../../../assembly/shared/layout/verdict-note.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { Verdict } from "../../../assembly/shared/verdicts.ts";
import type { WorkerArea } from "../io/device.ts";
import type { EngineExports } from "../modules/engine-contract.ts";
import { CapturePoint } from "./capture-contract.ts";
import type { CaptureTap } from "./capture-tap.ts";
import { QueueWalk } from "./queue-walk.ts";

const VERDICT_MASK = (1 << VerdictNoteLayout.REASON_SHIFT) - 1;

export class CapturingEngine implements EngineExports {
  readonly #engine: EngineExports;
  readonly #area: WorkerArea;
  readonly #tap: CaptureTap;
  readonly #queues: QueueWalk;
  readonly #memory: Uint8Array;
  /** What is in the slots before a call, at the same distances. */
  readonly #copied = new Uint8Array(2 * (WorkerLayout.UDP_SLOTS - WorkerLayout.TUN_SLOTS));

  // The notes of the last call
  #noteCount = 0;
  readonly #noteStarts = new Uint32Array(VerdictNoteLayout.MAX);
  readonly #noteEnds = new Uint32Array(VerdictNoteLayout.MAX);
  readonly #noteFlows = new Uint32Array(VerdictNoteLayout.MAX);

  constructor(engine: EngineExports, area: WorkerArea, tap: CaptureTap) {
    this.#engine = engine;
    this.#area = area;
    this.#tap = tap;
    this.#queues = new QueueWalk(area);
    this.#memory = new Uint8Array(area.words.buffer);
    area.setWord(WorkerLayout.NOTING, 1);
  }

  /** The engine of this worker notes nothing from now on. */
  static stopNoting(area: WorkerArea): void {
    area.setWord(WorkerLayout.NOTING, 0);
  }

  /** The engine itself. */
  get engine(): EngineExports {
    return this.#engine;
  }

  layoutVersion(): number {
    return this.#engine.layoutVersion();
  }

  attach(worker: number, memoryBase: bigint): void {
    this.#engine.attach(worker, memoryBase);
  }

  egress(first: number, count: number, nowUs: number): number {
    for (let slot = first; slot < count; slot++) {
      this.#copy(
        WorkerLayout.TUN_SLOTS + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM,
        this.#area.word(WorkerLayout.TUN_LENGTHS + 4 * slot),
      );
    }
    const next = this.#engine.egress(first, count, nowUs);
    this.#takeNotes(CapturePoint.tunIn);
    this.#takeQueues();
    return next;
  }

  ingress(first: number, count: number, nowUs: number): number {
    for (let slot = first; slot < count; slot++) {
      const length = this.#area.word(
        WorkerLayout.UDP_RX + slot * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_LENGTH,
      );
      this.#copy(WorkerLayout.UDP_SLOTS + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM, length);
    }
    const next = this.#engine.ingress(first, count, nowUs);
    this.#takeNotes(CapturePoint.tunnelIn);
    this.#takeQueues();
    return next;
  }

  probe(nowUs: number): number {
    const queued = this.#engine.probe(nowUs);
    this.#noteCount = 0;
    this.#takeQueues();
    return queued;
  }

  unpark(nowUs: number): number {
    const left = this.#engine.unpark(nowUs);
    this.#noteCount = 0;
    this.#takeQueues();
    return left;
  }

  sweep(nowUs: number, budget: number): number {
    return this.#engine.sweep(nowUs, budget);
  }

  udpRejected(message: number, errno: number): number {
    return this.#engine.udpRejected(message, errno);
  }

  pathError(errno: number, origin: number, mtu: number, quoted: number): void {
    this.#engine.pathError(errno, origin, mtu, quoted);
  }

  #copy(offset: number, length: number): void {
    const at = this.#area.at + offset;
    this.#copied.set(this.#memory.subarray(at, at + length), offset - WorkerLayout.TUN_SLOTS);
  }

  /** The flow of the received packet that one of these pieces is of, 0 = of none that is known. */
  #flowOf(parts: readonly Uint8Array[]): number {
    for (const { byteOffset } of parts) {
      let [low, high] = [0, this.#noteCount];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((this.#noteEnds[middle] as number) > byteOffset) high = middle;
        else low = middle + 1;
      }
      // Notes are in the order of their packets in memory.
      if (low < this.#noteCount && byteOffset >= (this.#noteStarts[low] as number))
        return this.#noteFlows[low] as number;
    }
    return 0;
  }

  #takeNotes(point: CapturePoint): void {
    const noted = this.#area.word(WorkerLayout.NOTE_COUNT);
    const count = Math.min(noted, VerdictNoteLayout.MAX);
    for (let index = 0; index < count; index++) {
      const note = WorkerLayout.NOTES + index * VerdictNoteLayout.SIZE;
      const offset = this.#area.word(note + VerdictNoteLayout.AT) - this.#area.at;
      const start = offset - WorkerLayout.TUN_SLOTS;
      const packet = this.#copied.subarray(start, start + this.#area.word(note + VerdictNoteLayout.LENGTH));
      const verdict = this.#area.word(note + VerdictNoteLayout.VERDICT);
      const flow = this.#area.word(note + VerdictNoteLayout.FLOW);
      this.#noteStarts[index] = this.#area.at + offset;
      this.#noteEnds[index] = this.#area.at + offset + packet.length;
      this.#noteFlows[index] = flow;
      const slot = Math.floor((offset - WorkerLayout.UDP_SLOTS) / WorkerLayout.SLOT_SIZE);
      this.#tap.take(point, [packet], packet.length, {
        verdict: verdict & VERDICT_MASK,
        reason: verdict >>> VerdictNoteLayout.REASON_SHIFT,
        flow,
        peer: point === CapturePoint.tunnelIn ? this.#queues.senderOf(slot) : 0,
      });
    }
    this.#noteCount = count;
    this.#tap.lose(noted - count);
  }

  #takeQueues(): void {
    this.#queues.datagrams((parts, length, peer) => {
      this.#tap.take(CapturePoint.tunnelOut, parts, length, { verdict: Verdict.sent, reason: 0, flow: 0, peer });
    });
    this.#queues.frames((parts, length) => {
      const flow = this.#flowOf(parts);
      this.#tap.take(CapturePoint.tunOut, parts, length, {
        verdict: Verdict.delivered,
        reason: 0,
        flow,
        peer: 0,
      });
    });
  }
}
