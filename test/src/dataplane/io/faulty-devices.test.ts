// Faults between the loop and its devices: the same frames and the same seed give the same faults, each kind does what
// it says, and nothing is there unless it was asked for.
import { describe, expect, test } from "vitest";
import { Counter } from "../../../../assembly/shared/counters.ts";
import * as KernelLayout from "../../../../assembly/shared/layout/kernel.ts";
import * as NodeLayout from "../../../../assembly/shared/layout/node.ts";
import * as WorkerLayout from "../../../../assembly/shared/layout/worker.ts";
import { READY_TUN, READY_UDP, type WorkerArea, type WorkerDevices } from "../../../../src/dataplane/io/device.ts";
import type { DeviceFaults, FaultSettings } from "../../../../src/dataplane/io/fault-settings.ts";
import { faultyDevices } from "../../../../src/dataplane/io/faulty-devices.ts";
import { openDevices } from "../../../../src/dataplane/io/open-devices.ts";
import { TunDevice } from "../../../../src/dataplane/io/tun-device.ts";
import { UdpDevice } from "../../../../src/dataplane/io/udp-device.ts";
import { createArea, type TestArea } from "../../../support/worker-area.ts";

const NO_FAULTS: DeviceFaults = {
  ...{ drop: 0, duplicate: 0, reorder: 0, delay: 0, truncate: 0, corrupt: 0, delayMs: 10 },
  ...{ error: 0, errnos: [], short: 0 },
};
const SEEDS = [1, 2, 3];

/** A TUN and a socket that have what the test lets them have; what arrived of it is told by its text. */
class World {
  readonly #made: TestArea = createArea();
  readonly area: WorkerArea = this.#made.area;
  nowMs = 0;
  frames: string[] = [];
  messages: string[] = [];
  readonly timeouts: number[] = [];
  readonly devices: WorkerDevices;

  constructor(faults: { seed?: number; tun?: Partial<DeviceFaults>; tunnel?: Partial<DeviceFaults> }) {
    const { seed = 1, tun, tunnel } = faults;
    const settings: FaultSettings = { seed, tun: { ...NO_FAULTS, ...tun }, tunnel: { ...NO_FAULTS, ...tunnel } };
    this.devices = faultyDevices(
      settings,
      this.area,
      () => this.nowMs,
      () => ({
        tun: { readBatch: () => this.#receive(this.frames, (i, text) => this.#putFrame(i, text)), writeQueue() {} },
        udp: {
          receiveBatch: () => this.#receive(this.messages, (i, text) => this.#putMessage(i, text)),
          sendQueue() {},
        },
        waiter: {
          wait: (timeoutMs) => {
            this.timeouts.push(timeoutMs);
            return 0;
          },
        },
      }),
    );
  }

  /** What a batch of these frames becomes. */
  read(...frames: readonly string[]): string[] {
    this.frames = [...frames];
    const count = this.devices.tun.readBatch();
    return Array.from({ length: count }, (_, i) =>
      this.#text(this.#frameAt(i), this.area.word(WorkerLayout.TUN_LENGTHS + 4 * i)),
    );
  }

  /** The same of messages; each with the first byte of its sender and of its control messages. */
  receive(...messages: readonly string[]): { text: string; sender: number; control: number }[] {
    this.messages = [...messages];
    const count = this.devices.udp.receiveBatch();
    return Array.from({ length: count }, (_, i) => ({
      text: this.#text(
        this.#messageAt(i),
        this.area.word(WorkerLayout.UDP_RX + i * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_LENGTH),
      ),
      sender: this.#bytes(WorkerLayout.UDP_RX_NAMES + i * NodeLayout.ENDPOINT_SIZE, 1)[0] as number,
      control: this.#bytes(WorkerLayout.UDP_RX_CONTROLS + i * KernelLayout.CONTROL_SIZE, 1)[0] as number,
    }));
  }

  /** Room for control messages that the kernel will find in the first receive structures. */
  controlRoom(count: number): number[] {
    return Array.from({ length: count }, (_, i) =>
      this.area.word(WorkerLayout.UDP_RX + i * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_CONTROL_LENGTH),
    );
  }

  get faultsInjected(): number {
    return Number(this.#made.u64(WorkerLayout.COUNTERS + 8 * Counter.faultsInjected));
  }

  #receive(queue: string[], put: (index: number, text: string) => void): number {
    const batch = queue.splice(0, WorkerLayout.BATCH_SIZE);
    batch.forEach((text, i) => {
      put(i, text);
    });
    return batch.length;
  }

  #putFrame(index: number, text: string): void {
    this.#bytes(this.#frameAt(index), text.length).set(Buffer.from(text));
    this.area.setWord(WorkerLayout.TUN_LENGTHS + 4 * index, text.length);
  }

  #putMessage(index: number, text: string): void {
    const header = WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE;
    this.#bytes(this.#messageAt(index), text.length).set(Buffer.from(text));
    this.area.setWord(header + KernelLayout.MMSGHDR_LENGTH, text.length);
    this.area.setWord(header + KernelLayout.MMSGHDR_CONTROL_LENGTH, 24);
    const mark = Number.parseInt(text, 10);
    this.#bytes(WorkerLayout.UDP_RX_NAMES + index * NodeLayout.ENDPOINT_SIZE, 1).fill(mark);
    this.#bytes(WorkerLayout.UDP_RX_CONTROLS + index * KernelLayout.CONTROL_SIZE, 1).fill(mark);
  }

  #frameAt(index: number): number {
    return WorkerLayout.TUN_SLOTS + index * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM;
  }

  #messageAt(index: number): number {
    return WorkerLayout.UDP_SLOTS + index * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM;
  }

  #text(at: number, length: number): string {
    return Buffer.from(this.#bytes(at, length)).toString("latin1");
  }

  #bytes(offset: number, length: number): Uint8Array {
    return new Uint8Array(this.area.words.buffer, this.area.at + offset, length);
  }
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i}`);
}

describe("what arrives", () => {
  test("is what the device received when no fault is asked for", () => {
    const world = new World({});
    expect(world.read(...numbered(WorkerLayout.BATCH_SIZE))).toEqual(numbered(WorkerLayout.BATCH_SIZE));
    expect(world.receive("7").map(({ text }) => text)).toEqual(["7"]);
    expect(world.faultsInjected).toBe(0);
  });

  test.each(SEEDS)("is the same again with seed %i, and other with another one", (seed) => {
    const shares = { drop: 0.2, duplicate: 0.2, reorder: 0.2, delay: 0.2, truncate: 0.2, corrupt: 0.2 };
    const run = (runSeed: number): string[][] => {
      const world = new World({ seed: runSeed, tun: shares });
      return [1, 2, 3].map((round) => {
        world.nowMs += 7;
        return world.read(...numbered(round * 10));
      });
    };
    expect(run(seed)).toEqual(run(seed));
    expect(run(seed)).not.toEqual(run(seed + 1));
  });

  test("on one device says nothing of the other", () => {
    const alone = new World({ tun: { drop: 0.5 } });
    const beside = new World({ tun: { drop: 0.5 }, tunnel: { drop: 0.5 } });
    beside.receive(...numbered(20));
    expect(beside.read(...numbered(20))).toEqual(alone.read(...numbered(20)));
  });

  test.each(SEEDS)("is partly lost, and each loss is counted (seed %i)", (seed) => {
    const world = new World({ seed, tun: { drop: 0.3 } });
    const arrived = world.read(...numbered(60));
    expect(arrived.length).toBeLessThan(60);
    expect(arrived).toEqual(numbered(60).filter((text) => arrived.includes(text)));
    expect(world.faultsInjected).toBe(60 - arrived.length);
  });

  test("comes twice", () => {
    expect(new World({ tun: { duplicate: 1 } }).read("a", "b")).toEqual(["a", "a", "b", "b"]);
  });

  test("is overtaken by the next one, also by one of a later batch", () => {
    const world = new World({ seed: 2, tun: { reorder: 0.3, delayMs: 1000 } });
    const arrived = [...Array(40).keys()].flatMap((i) => world.read(`${i}`));
    expect(arrived).not.toEqual(arrived.toSorted((a, b) => Number(a) - Number(b)));
    world.nowMs += 1000;
    expect([...arrived, ...world.read()].toSorted((a, b) => Number(a) - Number(b))).toEqual(numbered(40));
  });

  test("comes late, and the wait ends when it is due", () => {
    const world = new World({ tun: { delay: 1, delayMs: 20 }, tunnel: { delay: 1, delayMs: 30 } });
    expect(world.read("late")).toEqual([]);
    expect(world.receive("1")).toEqual([]);
    expect(world.devices.waiter.wait(100)).toBe(0);
    world.nowMs = 15;
    expect(world.devices.waiter.wait(2)).toBe(0);
    expect(world.timeouts).toEqual([20, 2]);
    world.nowMs = 20;
    expect(world.devices.waiter.wait(100)).toBe(READY_TUN);
    expect(world.read()).toEqual(["late"]);
    world.nowMs = 30;
    expect(world.devices.waiter.wait(100)).toBe(READY_UDP);
    expect(world.receive()).toEqual([{ text: "1", sender: 1, control: 1 }]);
    expect(world.devices.waiter.wait(100)).toBe(0);
    expect(world.timeouts.at(-1)).toBe(100);
  });

  test.each(SEEDS)("is cut (seed %i)", (seed) => {
    const [arrived = ""] = new World({ seed, tun: { truncate: 1 } }).read("whole");
    expect(arrived.length).toBeLessThan(5);
    expect("whole".startsWith(arrived)).toBe(true);
  });

  test.each(SEEDS)("has one bit turned (seed %i)", (seed) => {
    const [arrived = ""] = new World({ seed, tun: { corrupt: 1 } }).read("whole");
    const turned = [...arrived]
      .map((letter, i) => letter.charCodeAt(0) ^ "whole".charCodeAt(i))
      .filter((bits) => bits !== 0);
    expect(turned).toHaveLength(1);
    expect(Math.log2(turned[0] as number) % 1).toBe(0);
  });

  test("beyond a full batch waits for the next one", () => {
    const world = new World({ tun: { duplicate: 1 } });
    const doubled = numbered(WorkerLayout.BATCH_SIZE).flatMap((text) => [text, text]);
    expect(world.read(...numbered(WorkerLayout.BATCH_SIZE))).toEqual(doubled.slice(0, WorkerLayout.BATCH_SIZE));
    expect(world.devices.waiter.wait(100)).toBe(READY_TUN);
    expect(world.read()).toEqual(doubled.slice(WorkerLayout.BATCH_SIZE));
  });

  test("of a message keeps its sender and its control messages, and leaves room for those of the next", () => {
    const world = new World({ tunnel: { duplicate: 1 } });
    expect(world.receive("1", "2").map(({ text, sender, control }) => [text, sender, control])).toEqual(
      ["1", "1", "2", "2"].map((text) => [text, Number(text), Number(text)]),
    );
    expect(world.controlRoom(4)).toEqual([24, 24, 24, 24]);
    world.receive();
    expect(world.controlRoom(4)).toEqual(Array(4).fill(KernelLayout.CONTROL_SIZE));
  });
});

test("without faults nothing is between the loop and the devices", () => {
  const { area } = createArea();
  const onRefused = { udpRejected: () => 0, pathError: () => undefined };
  const open = (faults: FaultSettings | undefined): WorkerDevices =>
    openDevices({ tunFd: -1, udpFd: -1, wakeFd: -1, ring: undefined, area, onRefused, faults, nowMs: () => 0 });
  const plain = open(undefined);
  expect(plain.tun).toBeInstanceOf(TunDevice);
  expect(plain.udp).toBeInstanceOf(UdpDevice);
  const wrapped = open({ seed: 1, tun: NO_FAULTS, tunnel: NO_FAULTS });
  expect(wrapped.tun).not.toBeInstanceOf(TunDevice);
  expect(wrapped.udp).not.toBeInstanceOf(UdpDevice);
});
