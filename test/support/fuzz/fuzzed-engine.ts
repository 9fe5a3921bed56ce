// An engine whose every call is judged (outcome-judge.ts), and a part of whose output (output-judge.ts). What it must
// not write is compared now and then.
import * as FlowLayout from "../../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as WaitingLayout from "../../../assembly/shared/layout/waiting.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import type { EngineExports } from "../../../src/dataplane/modules/engine-contract.ts";
import { instantiateEngine } from "../../../src/dataplane/modules/wasm.ts";
import { HealthPageReader, wantHealthPage, writeHealthPages } from "../../../src/memory/health-pages.ts";
import { type InstanceHealthName, writeInstanceHealth } from "../../../src/memory/instance-health.ts";
import { writeOwnAddresses } from "../../../src/memory/own-addresses.ts";
import { refuseAddress } from "../../../src/memory/questions.ts";
import { createSharedMemory, type MemoryOptions, type SharedMemory } from "../../../src/memory/shared-memory.ts";
import { TableWriter } from "../../../src/memory/table-writer.ts";
import type { Tables } from "../../../src/model/tables.ts";
import { parsePrefix } from "../../../src/net/address.ts";
import { OWN_ADDRESSES } from "../engine-fixture.ts";
import { type Endpoint, EngineMemory, type ErrorAbout, originOf } from "../engine-memory.ts";
import type { Random } from "../random.ts";
import { inspectFlowTable } from "../reference/flow-table.ts";
import type { Message } from "../reference/translator.ts";
import { difference } from "../table-difference.ts";
import type { TrafficTarget } from "../traffic-events.ts";
import { RANGES, THIS_NODE } from "../world.ts";
import { Features } from "./features.ts";
import { ForeignMemory } from "./foreign-memory.ts";
import { OutcomeJudge } from "./outcome-judge.ts";
import { OutputJudge } from "./output-judge.ts";
import { SeedPool } from "./seed-pool.ts";

const START_US = 1_000_000_000;
const SEEDS = 1024;
const PROBE = 0x53;
// errno of sends that are refused (asm-generic/errno-base.h, errno.h)
const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;
/** Longer than any timeout, of flows or of what waits. */
const LONG_MS = 86_400_000 * 2;

/** An engine with a fault, for the test of the judges. */
export type Alteration = (engine: EngineExports, shared: SharedMemory) => EngineExports;

export class FuzzedEngine implements TrafficTarget {
  readonly shared: SharedMemory;
  readonly tables: TableWriter;
  readonly io: EngineMemory;
  readonly frames: SeedPool;
  readonly messages: SeedPool;
  readonly features: Features;
  /** Packets and messages that came in, and packets of the outputs that were looked at. */
  packetsIn = 0;
  packetsJudged = 0;
  private nowUs = START_US;
  private readonly engine: EngineExports;
  private readonly outcome: OutcomeJudge;
  private readonly output: OutputJudge;
  private readonly foreign: ForeignMemory;
  private readonly workerAt: number;
  private readonly pages: HealthPageReader;
  private inForce: Tables = { nodes: [], services: [] };

  constructor(
    private readonly module: WebAssembly.Module,
    memory: MemoryOptions,
    alter: Alteration = (engine) => engine,
  ) {
    // The second worker runs at the end only: until then its area is nobody's to write.
    this.shared = createSharedMemory({
      ...memory,
      capacities: { ...memory.capacities, workers: 2 },
      ranges: RANGES.map(parsePrefix),
    });
    writeOwnAddresses(this.shared, OWN_ADDRESSES);
    this.tables = new TableWriter(this.shared, { nodeId: THIS_NODE, policySlot: () => 0 });
    this.workerAt = this.shared.at(Region.workers);
    this.io = new EngineMemory(this.shared.memory, this.workerAt);
    this.frames = new SeedPool(this.io.view, this.workerAt, false, SEEDS);
    this.messages = new SeedPool(this.io.view, this.workerAt, true, SEEDS);
    this.features = new Features(this.io.view);
    this.outcome = new OutcomeJudge(this.shared, this.frames, this.messages, this.features);
    this.output = new OutputJudge(THIS_NODE, RANGES, OWN_ADDRESSES);
    // Mostly an answer, sometimes none.
    const choose = (_serviceAt: number, flowHash: number): number => (flowHash >>> 0) % 5;
    this.engine = alter(instantiateEngine(module, this.shared.memory, choose), this.shared);
    this.engine.attach(0, 0n);
    this.foreign = new ForeignMemory(this.shared);
    this.pages = new HealthPageReader(this.shared);
  }

  /** Whether the engine notes what happens to each packet, and the notes are judged. */
  setNoting(isOn: boolean): void {
    this.io.view.setUint32(this.workerAt + WorkerLayout.NOTING, Number(isOn), true);
  }

  /** The frames or messages that lie in the first `count` slots; `look` says whether what leaves is judged as well. */
  run(isEgress: boolean, count: number, look: "no" | "yes" | "whole"): void {
    this.packetsIn += count;
    this.features.fresh.clear();
    for (let first = 0; first < count; ) {
      this.outcome.start();
      const next = isEgress
        ? this.engine.egress(first, count, this.nowUs)
        : this.engine.ingress(first, count, this.nowUs);
      if (next <= first || next > count) throw new Error(`the engine came from slot ${first} to ${next}`);
      this.outcome.judgeBatch(isEgress, first, next);
      if (look !== "no") this.packetsJudged += this.output.judge(this.io, look === "whole");
      first = next;
    }
  }

  advance(milliseconds: number): void {
    this.nowUs += milliseconds * 1000;
  }

  egress(...frames: readonly Uint8Array[]): void {
    for (let start = 0; start < frames.length; start += WorkerLayout.BATCH_SIZE) {
      const batch = frames.slice(start, start + WorkerLayout.BATCH_SIZE);
      for (const [slot, frame] of batch.entries()) this.io.putFrame(slot, frame);
      this.run(true, batch.length, "no");
    }
  }

  ingress(...messages: readonly Message[]): void {
    for (let start = 0; start < messages.length; start += WorkerLayout.BATCH_SIZE) {
      const batch = messages.slice(start, start + WorkerLayout.BATCH_SIZE);
      for (const [slot, message] of batch.entries()) this.io.putMessage(slot, message);
      this.run(false, batch.length, "no");
    }
  }

  unpark(): void {
    while (this.judged(() => this.engine.unpark(this.nowUs)) > 0);
  }

  /** Of all records. */
  sweep(): void {
    this.outcome.start();
    this.engine.sweep(this.nowUs, this.records);
    this.outcome.judgeDropsOnly();
  }

  probe(): { readonly datagrams: readonly { readonly endpoint: string; readonly bytes: Uint8Array }[] } {
    this.judged(() => this.engine.probe(this.nowUs));
    const datagrams = this.io
      .sentMessages()
      .flatMap(({ endpoint, datagrams }) => datagrams.map((bytes) => ({ endpoint, bytes })));
    return { datagrams: datagrams.filter(({ bytes }) => bytes[0] === PROBE) };
  }

  refuse(address: string): void {
    refuseAddress(this.shared, address, Math.floor(this.nowUs / 1000));
  }

  pathError(errno: number, to: Endpoint, about: ErrorAbout = {}): void {
    const quoted = this.io.putError(to, about.quote);
    this.engine.pathError(errno, originOf(about), about.mtu ?? 0, quoted);
  }

  /** The kernel refuses what one of the queued messages is. */
  reject(random: Random): void {
    const count = this.io.view.getUint32(this.workerAt + WorkerLayout.UDP_TX_COUNT, true);
    if (count === 0) return;
    const message = random.below(count);
    const singles = this.engine.udpRejected(message, random.pick([EIO, EINVAL, EMSGSIZE, 0, random.u32() | 0]));
    if (singles > WorkerLayout.UDP_RETRY_MAX) throw new Error(`a refused message became ${singles}`);
    for (const { datagrams } of this.io.retryMessages(singles)) {
      if (datagrams.length !== 1) throw new Error(`a repeated message has ${datagrams.length} datagrams`);
    }
  }

  acceptStrangers(isOn: boolean): void {
    const at = HeaderLayout.AT + HeaderLayout.ANSWERS;
    const others = this.io.view.getUint32(at, true) & ~HeaderLayout.ACCEPT_STRANGERS;
    this.io.view.setUint32(at, others | (isOn ? HeaderLayout.ACCEPT_STRANGERS : 0), true);
  }

  setHealth(service: string, number: number, health: InstanceHealthName): void {
    const instances = this.inForce.services.find(({ name }) => name === service)?.instances ?? [];
    const index = this.tables.instanceIndices(service)[instances.findIndex((one) => one.number === number)];
    if (index !== undefined) this.foreign.change(() => writeInstanceHealth(this.shared, index, health));
  }

  tellHealth(revision: number, pages: readonly Uint8Array[]): void {
    writeHealthPages(this.shared, revision, pages);
  }

  wantPage(node: string, page: number | undefined): void {
    const index = this.tables.nodeIndex(node);
    if (index !== undefined) this.foreign.change(() => wantHealthPage(this.shared, index, page));
  }

  /** What the engine kept of other nodes' pages. */
  takePages(): number {
    return this.pages.take().length;
  }

  async apply(tables: Tables): Promise<void> {
    this.foreign.compare();
    await this.tables.apply(difference(this.inForce, tables));
    await this.tables.settled();
    this.inForce = tables;
    this.output.allow(tables);
    this.foreign.remember();
  }

  /** The flow table is as it has to be; when the time of all flows is over, none is left. Throws a sentence. */
  finish(): void {
    this.foreign.compare();
    const { broken } = inspectFlowTable(this.shared);
    if (broken.length > 0) throw new Error(`the flow table: ${broken.slice(0, 5).join("; ")}`);
    // Each worker sweeps its share.
    const other = instantiateEngine(this.module, this.shared.memory, () => 0);
    other.attach(1, 0n);
    for (let pass = 0; pass < 3; pass++) {
      this.advance(LONG_MS);
      this.unpark();
      this.sweep();
      other.sweep(this.nowUs, this.records);
    }
    const left = inspectFlowTable(this.shared);
    if (left.live > 0 || left.broken.length > 0) {
      throw new Error(`${left.live} flows are left at the end: ${left.broken.slice(0, 5).join("; ")}`);
    }
    const waiting = [WorkerLayout.WAITING_FRAGMENTS, WorkerLayout.WAITING_PARKED].map((row) =>
      this.io.view.getUint32(this.workerAt + row + WaitingLayout.ROW_COUNT, true),
    );
    if (waiting.some((count) => count > 0)) throw new Error(`${waiting.join(" and ")} packets wait at the end`);
    const count = this.io.view.getUint32(HeaderLayout.AT + HeaderLayout.FLOW_COUNT, true);
    if (count !== 0) throw new Error(`${count} flows are counted at the end`);
  }

  private get records(): number {
    return this.shared.capacities.flows + FlowLayout.SLACK;
  }

  private judged(call: () => number): number {
    this.outcome.start();
    const result = call();
    this.outcome.judgeQueueing();
    return result;
  }
}
