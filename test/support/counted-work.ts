// Counts what the engine does instead of how long it takes: every load and store of the module that the build made,
// by what it is of. So the packet path pays nothing for it.
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { EngineFixture, type FixtureOptions } from "./engine-fixture.ts";
import { instantiateInstrumented, loadInstrumentedEngine } from "./instrumented-engine.ts";
import type { Message } from "./reference/translator.ts";
import { RANGES, THIS_NODE, world } from "./world.ts";

const LINE_SIZE = 64;

export interface Work {
  /** Of payload, that were loaded: to sum them, as nothing else looks at payload. */
  readonly payloadBytes: number;
  /** Cache lines of the tables, each once, by region. */
  readonly lines: Readonly<Partial<Record<keyof typeof Region, number>>>;
  /** That the kernel is asked to send. */
  readonly messages: number;
  /** That the kernel is asked to write. */
  readonly frames: number;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** A node whose engine is watched. */
export class CountedNode {
  private payload: readonly Range[] = [];
  private payloadBytes = 0;
  private readonly lines = new Set<number>();

  private constructor(readonly fixture: EngineFixture) {}

  static async create(options: Partial<FixtureOptions> = {}): Promise<CountedNode> {
    const module = await loadInstrumentedEngine();
    let node: CountedNode | undefined;
    const fixture = await EngineFixture.create({
      nodeId: THIS_NODE,
      ranges: RANGES,
      tables: world(),
      ...options,
      instantiate: (memory, choose) =>
        instantiateInstrumented(module, memory, choose, (address, bytes) => node?.note(address, bytes)),
    });
    node = new CountedNode(fixture);
    return node;
  }

  /** Of frames whose headers, without the virtio_net_hdr, have this length. */
  egress(headerLength: number, ...frames: readonly Uint8Array[]): Work {
    const at = this.fixture.io.workerAt + WorkerLayout.TUN_SLOTS + WorkerLayout.SLOT_HEADROOM;
    const inFront = Virtio.SIZE + headerLength;
    const payload = frames.map(({ length }, slot) => rangeOf(at + slot * WorkerLayout.SLOT_SIZE, inFront, length));
    return this.count(payload, () => this.fixture.egress(...frames));
  }

  /** Of messages whose packets have headers of this length. */
  ingress(headerLength: number, ...messages: readonly Message[]): Work {
    const at = this.fixture.io.workerAt + WorkerLayout.UDP_SLOTS + WorkerLayout.SLOT_HEADROOM;
    const payload = messages.flatMap(({ bytes, segmentSize = bytes.length }, slot) => {
      const first = at + slot * WorkerLayout.SLOT_SIZE;
      return Array.from({ length: Math.ceil(bytes.length / segmentSize) }, (_, i) =>
        rangeOf(first + i * segmentSize, headerLength, Math.min(segmentSize, bytes.length - i * segmentSize)),
      );
    });
    return this.count(payload, () => this.fixture.ingress(...messages));
  }

  private count(payload: readonly Range[], run: () => ReturnType<EngineFixture["egress"]>): Work {
    this.payload = payload;
    this.payloadBytes = 0;
    this.lines.clear();
    const { messages, frames } = run();
    return {
      payloadBytes: this.payloadBytes,
      lines: this.linesByRegion(),
      messages: messages.length,
      frames: frames.length,
    };
  }

  private note(address: number, bytes: number): void {
    for (const { start, end } of this.payload) {
      this.payloadBytes += Math.max(0, Math.min(end, address + bytes) - Math.max(start, address));
    }
    this.lines.add(Math.floor(address / LINE_SIZE));
    this.lines.add(Math.floor((address + bytes - 1) / LINE_SIZE));
  }

  private linesByRegion(): Work["lines"] {
    const { shared } = this.fixture;
    const starts = Array.from({ length: Region.count }, (_, region) => ({ region, at: shared.at(region) }));
    const lines: Partial<Record<keyof typeof Region, number>> = {};
    for (const line of this.lines) {
      const before = starts.filter(({ at }) => at <= line * LINE_SIZE).sort((a, b) => b.at - a.at);
      const region = before[0]?.region;
      if (region === undefined || region === Region.workers) continue;
      const name = Region[region] as keyof typeof Region;
      lines[name] = (lines[name] ?? 0) + 1;
    }
    return lines;
  }
}

function rangeOf(at: number, inFront: number, length: number): Range {
  return { start: at + inFront, end: at + length };
}
