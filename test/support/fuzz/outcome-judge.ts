// Judges each call of an engine by what it counted, noted and queued: every packet that came in ended in one noted
// outcome, every drop has its reason, and what is queued is what is counted. Nothing is allocated.
import { Counter } from "../../../assembly/shared/counters.ts";
import * as FlowLayout from "../../../assembly/shared/layout/flow.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as KernelLayout from "../../../assembly/shared/layout/kernel.ts";
import * as ProbeLayout from "../../../assembly/shared/layout/probe.ts";
import * as VerdictNoteLayout from "../../../assembly/shared/layout/verdict-note.ts";
import * as WaitingLayout from "../../../assembly/shared/layout/waiting.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { DropReason, Verdict } from "../../../assembly/shared/verdicts.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import type { SharedMemory } from "../../../src/memory/shared-memory.ts";
import type { Features } from "./features.ts";
import type { SeedPool } from "./seed-pool.ts";

const WORDS = 2 * (WorkerLayout.COUNTER_MAX + 2 * WorkerLayout.DROP_REASON_MAX);
const OUT = [
  ...[Counter.egressPackets, Counter.ingressPackets, Counter.localPackets, Counter.icmpErrorsSent],
  ...[Counter.resetsSent, Counter.probesSent, Counter.probesAnswered],
];

export class OutcomeJudge {
  private readonly view: DataView;
  private readonly counters: Uint32Array;
  private readonly before = new Uint32Array(WORDS);
  private readonly noted = new Uint32Array(DropReason.count);
  private readonly workerAt: number;
  private readonly flowsAt: number;
  private readonly flowsEnd: number;
  private waitingBefore = 0;

  constructor(
    shared: SharedMemory,
    private readonly frames: SeedPool,
    private readonly messages: SeedPool,
    private readonly features: Features,
  ) {
    this.view = new DataView(shared.memory.buffer);
    this.workerAt = shared.at(Region.workers);
    this.flowsAt = shared.at(Region.flows);
    this.flowsEnd = this.flowsAt + shared.records.flows * FlowLayout.SIZE;
    this.counters = new Uint32Array(shared.memory.buffer, this.workerAt + WorkerLayout.COUNTERS, WORDS);
  }

  /** Before a call. */
  start(): void {
    for (let i = 0; i < WORDS; i += 2) this.before[i] = this.counters[i] as number;
    this.waitingBefore = this.waiting();
  }

  /** After a call that took the slots first...end-1, of which each has a note, or 0 and 0; throws a sentence. */
  judgeBatch(isEgress: boolean, first: number, end: number): void {
    const isNoted = this.word(WorkerLayout.NOTING) !== 0;
    if (isNoted) this.judgeNotes(isEgress, first, end);
    else this.judgeDrops(isEgress ? 1 : 0, end - first);
    this.judgeQueues();
  }

  /** After a call that takes no packets and empties the queues first. */
  judgeQueueing(): void {
    this.judgeDropsOnly();
    this.judgeQueues();
  }

  /** After a call that takes no packets and leaves the queues alone. */
  judgeDropsOnly(): void {
    this.judgeLate(this.drops(WorkerLayout.EGRESS_DROPS) + this.drops(WorkerLayout.INGRESS_DROPS), 0, 0);
  }

  /** Each received packet has one note, in order; drops are counted as they are noted. */
  private judgeNotes(isEgress: boolean, first: number, end: number): void {
    const count = this.word(WorkerLayout.NOTE_COUNT);
    if (count > VerdictNoteLayout.MAX) throw new Error(`${count} notes, room is for ${VerdictNoteLayout.MAX}`);
    this.noted.fill(0);
    let taken = 0;
    let waits = 0;
    let dropped = 0;
    let note = 0;
    for (let slot = first; slot < end; slot++) {
      const pool = isEgress ? this.frames : this.messages;
      const length = pool.lengthOf(slot);
      let at = pool.packetAt(slot);
      let left = length;
      if (isEgress) {
        const inFront = Math.min(Virtio.SIZE, length);
        at += inFront;
        left -= inFront;
      }
      do {
        if (note === count) throw new Error(`slot ${slot}: ${left} of ${length} bytes have no note`);
        const record = this.workerAt + WorkerLayout.NOTES + note++ * VerdictNoteLayout.SIZE;
        const size = this.view.getUint32(record + VerdictNoteLayout.LENGTH, true);
        if (
          this.view.getUint32(record + VerdictNoteLayout.AT, true) !== at ||
          size > left ||
          (size === 0 && left > 0)
        ) {
          throw new Error(`slot ${slot}: note ${note - 1} is not of the packet at ${at}`);
        }
        const verdict = this.view.getUint32(record + VerdictNoteLayout.VERDICT, true);
        const reason = verdict >>> VerdictNoteLayout.REASON_SHIFT;
        const outcome = verdict & 0xff;
        const flow = this.view.getUint32(record + VerdictNoteLayout.FLOW, true);
        if (reason >= DropReason.count || (outcome === Verdict.dropped) !== (reason !== DropReason.none)) {
          throw new Error(`slot ${slot}: verdict ${outcome}, reason ${reason}`);
        }
        if (flow !== 0) this.checkFlow(flow);
        if (outcome === Verdict.dropped) {
          this.noted[reason] = (this.noted[reason] as number) + 1;
          dropped++;
        } else if (outcome === Verdict.waits) waits++;
        else if (outcome === Verdict.taken && !this.isProbe(at, size)) taken++;
        this.features.note(isEgress, slot, at, outcome, reason, flow);
        at += size;
        left -= size;
      } while (left > 0);
    }
    if (note !== count) throw new Error(`${count} notes of ${note} packets`);
    this.judgeCounted(isEgress, dropped, taken, waits);
  }

  private judgeCounted(isEgress: boolean, dropped: number, taken: number, waits: number): void {
    const region = isEgress ? WorkerLayout.EGRESS_DROPS : WorkerLayout.INGRESS_DROPS;
    for (let reason = 1; reason < DropReason.count; reason++) {
      const counted = this.grown((region - WorkerLayout.COUNTERS) / 8 + reason);
      const noted = this.noted[reason] as number;
      if (counted < noted) throw new Error(`${DropReason[reason]} is noted ${noted} times, counted ${counted} times`);
    }
    const all = this.drops(WorkerLayout.EGRESS_DROPS) + this.drops(WorkerLayout.INGRESS_DROPS);
    this.judgeLate(all - dropped, taken, waits);
  }

  /** Without notes: a packet is dropped once at most. */
  private judgeDrops(packets: number, frames: number): void {
    if (packets === 0) return;
    const all = this.drops(WorkerLayout.EGRESS_DROPS) + this.drops(WorkerLayout.INGRESS_DROPS);
    const limit = frames + this.waitingBefore;
    if (all > limit) throw new Error(`${all} drops of ${limit} packets`);
  }

  /** What is dropped without a note was waiting, or is a later fragment in hand, whose note says nothing. */
  private judgeLate(late: number, taken: number, waits: number): void {
    const released = this.waitingBefore + waits - this.waiting();
    if (released < 0) throw new Error(`${-released} more packets wait than came`);
    if (late < taken || late - taken > released) {
      throw new Error(`${late} drops without a note, ${taken} in hand, of ${released} that waited no longer`);
    }
  }

  /** The queues hold what was counted. */
  private judgeQueues(): void {
    const messages = this.word(WorkerLayout.UDP_TX_COUNT);
    const writes = this.word(WorkerLayout.TUN_TX_COUNT);
    if (messages > WorkerLayout.UDP_TX_MAX || writes > WorkerLayout.TUN_TX_MAX) {
      throw new Error(`${messages} messages and ${writes} writes are queued`);
    }
    let queued = 0;
    for (let i = 0; i < messages; i++) {
      queued += this.word(WorkerLayout.UDP_TX + i * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_LENGTH);
    }
    for (let i = 0; i < writes; i++) {
      queued += this.word(WorkerLayout.TUN_TX + i * WorkerLayout.TUN_TX_SIZE + WorkerLayout.TUN_TX_PACKETS);
    }
    let counted = 0;
    for (let i = 0; i < OUT.length; i++) counted += this.grown(OUT[i] as number);
    if (queued !== counted) throw new Error(`${queued} packets are queued, ${counted} are counted`);
  }

  private drops(region: number): number {
    let sum = 0;
    const first = (region - WorkerLayout.COUNTERS) / 8;
    for (let reason = 1; reason < DropReason.count; reason++) sum += this.grown(first + reason);
    return sum;
  }

  private checkFlow(flow: number): void {
    const isRecord = flow > this.flowsAt && flow < this.flowsEnd && (flow - this.flowsAt) % FlowLayout.SIZE === 0;
    if (!isRecord) throw new Error(`${flow} is no flow record`);
  }

  private isProbe(at: number, length: number): boolean {
    return length >= 2 && this.view.getUint16(at, true) === ProbeLayout.MAGIC;
  }

  private waiting(): number {
    return (
      this.word(WorkerLayout.WAITING_FRAGMENTS + WaitingLayout.ROW_COUNT) +
      this.word(WorkerLayout.WAITING_PARKED + WaitingLayout.ROW_COUNT)
    );
  }

  private grown(counter: number): number {
    return ((this.counters[2 * counter] as number) - (this.before[2 * counter] as number)) >>> 0;
  }

  private word(offset: number): number {
    return this.view.getUint32(this.workerAt + offset, true);
  }
}
