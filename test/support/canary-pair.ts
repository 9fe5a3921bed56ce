// Two engines in step, whose free memory holds opposite patterns: not one byte that they let go may differ. A byte that
// came from elsewhere than the packet in hand and its new headers, or a checksum over such a byte, would.
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import type { Tables } from "../../src/model/tables.ts";
import { CanaryEngine, type CanaryOptions, type Output } from "./canary-memory.ts";
import type { Endpoint, ErrorAbout } from "./engine-memory.ts";
import type { Random } from "./random.ts";
import type { Message } from "./reference/translator.ts";
import type { TrafficTarget } from "./traffic-events.ts";

const START_US = 1_000_000_000;

export class CanaryPair implements TrafficTarget {
  readonly first: CanaryEngine;
  private readonly second: CanaryEngine;
  private nowUs = START_US;
  /** What was let go so far. */
  packets = 0;
  bytes = 0;

  constructor(
    private readonly random: Random,
    options: CanaryOptions,
  ) {
    this.first = new CanaryEngine(options);
    this.second = new CanaryEngine(options, this.first);
    const pattern = random.u32();
    this.first.fillAll(pattern);
    this.second.fillAll(~pattern);
  }

  advance(milliseconds: number): void {
    this.nowUs += milliseconds * 1000;
  }

  async apply(tables: Tables): Promise<void> {
    await this.first.apply(tables);
    await this.second.apply(tables);
  }

  egress(...frames: readonly Uint8Array[]): void {
    this.run(
      frames,
      (engine, slot, frame) => engine.putFrame(slot, frame),
      (engine, first, end) => engine.egress(first, end, this.nowUs),
    );
  }

  ingress(...messages: readonly Message[]): void {
    this.run(
      messages,
      (engine, slot, message) => engine.putMessage(slot, message),
      (engine, first, end) => engine.ingress(first, end, this.nowUs),
    );
  }

  unpark(): void {
    while (this.call((engine) => engine.unpark(this.nowUs)).result > 0);
  }

  sweep(): void {
    // It queues nothing, and what the call before it queued was sent.
    for (const engine of [this.first, this.second]) engine.sweep(this.nowUs);
  }

  probe(): { readonly datagrams: readonly { readonly endpoint: string; readonly bytes: Uint8Array }[] } {
    const { output } = this.call((engine) => engine.probe(this.nowUs));
    return {
      datagrams: output.filter(({ bytes }) => bytes[0] === 0x53).map(({ to, bytes }) => ({ endpoint: to, bytes })),
    };
  }

  refuse(address: string): void {
    for (const engine of [this.first, this.second]) engine.refuse(address, Math.floor(this.nowUs / 1000));
  }

  pathError(errno: number, to: Endpoint, about: ErrorAbout = {}): void {
    for (const engine of [this.first, this.second]) engine.pathError(errno, to, about);
  }

  private run<Item>(
    items: readonly Item[],
    put: (engine: CanaryEngine, slot: number, item: Item) => void,
    call: (engine: CanaryEngine, first: number, end: number) => number,
  ): void {
    for (let start = 0; start < items.length; start += WorkerLayout.BATCH_SIZE) {
      const batch = items.slice(start, start + WorkerLayout.BATCH_SIZE);
      this.fill();
      batch.forEach((item, slot) => {
        put(this.first, slot, item);
        put(this.second, slot, item);
      });
      for (let first = 0; first < batch.length; ) {
        const { result } = this.compare((engine) => call(engine, first, batch.length));
        if (result <= first) throw new Error(`the engine came from slot ${first} to ${result}`);
        first = result;
      }
    }
  }

  private call<Result>(call: (engine: CanaryEngine) => Result): { readonly result: Result; readonly output: Output[] } {
    this.fill();
    return this.compare(call);
  }

  private fill(): void {
    const pattern = this.random.u32();
    this.first.fill(pattern);
    this.second.fill(~pattern);
  }

  private compare<Result>(call: (engine: CanaryEngine) => Result): {
    readonly result: Result;
    readonly output: Output[];
  } {
    const result = call(this.first);
    const other = call(this.second);
    if (result !== other) throw new Error(`one engine returned ${result}, the other one ${other}`);
    const [output, outputs] = [this.first.output(), this.second.output()];
    if (output.length !== outputs.length)
      throw new Error(`one engine sent ${output.length}, the other ${outputs.length}`);
    output.forEach((one, i) => {
      expectSame(one, outputs[i] as Output);
      this.packets++;
      this.bytes += one.bytes.length;
    });
    if (Buffer.compare(this.first.counts(), this.second.counts()) !== 0) throw new Error("the counters differ");
    return { result, output };
  }
}

function expectSame(one: Output, other: Output): void {
  if (one.to !== other.to) throw new Error(`one engine sends to ${one.to}, the other one to ${other.to}`);
  if (Buffer.compare(one.bytes, other.bytes) === 0) return;
  const at = one.bytes.findIndex((byte, i) => byte !== other.bytes[i]);
  const [hex, otherHex] = [one.bytes, other.bytes].map((bytes) => Buffer.from(bytes).toString("hex"));
  throw new Error(
    `what goes to ${one.to} holds or depends on foreign memory, from byte ${at} on:\n${hex}\n${otherHex}`,
  );
}
