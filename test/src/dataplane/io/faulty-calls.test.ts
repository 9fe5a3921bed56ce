// System calls that fail or do a part: the devices above them lose only what they count, and go on.
import { describe, expect, test } from "vitest";
import { Counter } from "../../../../assembly/shared/counters.ts";
import * as KernelLayout from "../../../../assembly/shared/layout/kernel.ts";
import * as WorkerLayout from "../../../../assembly/shared/layout/worker.ts";
import { DropReason } from "../../../../assembly/shared/verdicts.ts";
import type { TunCalls, UdpCalls } from "../../../../src/dataplane/io/calls.ts";
import { FaultDice } from "../../../../src/dataplane/io/fault-dice.ts";
import type { DeviceFaults } from "../../../../src/dataplane/io/fault-settings.ts";
import { FaultyCalls } from "../../../../src/dataplane/io/faulty-calls.ts";
import { TunDevice } from "../../../../src/dataplane/io/tun-device.ts";
import { UdpDevice } from "../../../../src/dataplane/io/udp-device.ts";
import { EAGAIN, EBADFD, EINTR, EIO, EMSGSIZE, ENOBUFS, errnoOf } from "../../../../src/sys/libc.ts";
import { createArea } from "../../../support/worker-area.ts";

const ENETUNREACH = errnoOf("ENETUNREACH") as number;
const NO_FAULTS: DeviceFaults = {
  ...{ drop: 0, duplicate: 0, reorder: 0, delay: 0, truncate: 0, corrupt: 0, delayMs: 10 },
  ...{ error: 0, errnos: [], short: 0 },
};
const NO_FD = -1;
const MESSAGES = 1000;
const FRAMES = 1000;

/** Notes what really reaches the kernel, which takes everything. */
class Kernel implements TunCalls, UdpCalls {
  readonly calls: [name: string, count: number][] = [];
  left = 0;

  read(): number {
    this.calls.push(["read", 1]);
    return this.left-- > 0 ? 100 : -EAGAIN;
  }

  writev(_fd: number, _iovecsAt: number, count: number): number {
    this.calls.push(["writev", count]);
    return 100;
  }

  recvmmsg(_fd: number, _messagesAt: number, count: number): number {
    this.calls.push(["recvmmsg", count]);
    const received = Math.min(count, this.left);
    this.left -= received;
    return received > 0 ? received : -EAGAIN;
  }

  sendmmsg(_fd: number, _messagesAt: number, count: number): number {
    this.calls.push(["sendmmsg", count]);
    return count;
  }

  count(name: string): number {
    return this.calls.filter(([called]) => called === name).reduce((sum, [, count]) => sum + count, 0);
  }
}

function open(faults: Partial<DeviceFaults>) {
  const { area, u64 } = createArea();
  const kernel = new Kernel();
  const calls = new FaultyCalls(kernel, { ...NO_FAULTS, ...faults }, new FaultDice(1, area, 0));
  const counter = (which: Counter): number => Number(u64(WorkerLayout.COUNTERS + 8 * which));
  const egressDrops = (reason: DropReason): number => Number(u64(WorkerLayout.EGRESS_DROPS + 8 * reason));
  const ingressDrops = (reason: DropReason): number => Number(u64(WorkerLayout.INGRESS_DROPS + 8 * reason));
  return { area, kernel, calls, counter, egressDrops, ingressDrops };
}

describe("the TUN", () => {
  test("reads all frames in spite of errors, in as many batches as it takes", () => {
    const { area, kernel, calls, counter } = open({ error: 0.3, errnos: [EAGAIN, EINTR, EIO, ENOBUFS] });
    const device = new TunDevice(NO_FD, area, calls);
    kernel.left = FRAMES;
    let read = 0;
    for (let i = 0; read < FRAMES && i < FRAMES; i++) read += device.readBatch();
    expect(read).toBe(FRAMES);
    expect(counter(Counter.tunReadFrames)).toBe(FRAMES);
    expect(counter(Counter.faultsInjected)).toBeGreaterThan(100);
  });

  test("that is lost ends the worker by a sentence", () => {
    const { area, calls } = open({ error: 1, errnos: [EBADFD] });
    expect(() => new TunDevice(NO_FD, area, calls).readBatch()).toThrowError("the device was deleted");
  });

  test.each([
    ["sendFailed", [EIO]],
    ["queueFull", [EAGAIN, ENOBUFS]],
  ] as const)("loses a frame that is refused, counted as %s, and no other", (reason, errnos) => {
    const { area, kernel, calls, counter, ingressDrops } = open({ error: 0.5, errnos });
    const device = new TunDevice(NO_FD, area, calls);
    for (let index = 0; index < FRAMES; index++) {
      area.setWord(WorkerLayout.TUN_TX + index * WorkerLayout.TUN_TX_SIZE + WorkerLayout.TUN_TX_IOV_COUNT, 2);
      area.setWord(WorkerLayout.TUN_TX + index * WorkerLayout.TUN_TX_SIZE + WorkerLayout.TUN_TX_PACKETS, 1);
    }
    area.setWord(WorkerLayout.TUN_TX_COUNT, FRAMES);
    device.writeQueue();
    expect(ingressDrops(DropReason[reason])).toBeGreaterThan(100);
    expect(kernel.count("writev")).toBe(2 * counter(Counter.tunWrittenFrames));
    expect(counter(Counter.tunWrittenFrames) + ingressDrops(DropReason[reason])).toBe(FRAMES);
    expect(area.word(WorkerLayout.TUN_TX_COUNT)).toBe(0);
  });

  test("writes a frame without its last part", () => {
    const { area, kernel, calls } = open({ short: 1 });
    area.setWord(WorkerLayout.TUN_TX + WorkerLayout.TUN_TX_IOV_COUNT, 3);
    area.setWord(WorkerLayout.TUN_TX_COUNT, 1);
    new TunDevice(NO_FD, area, calls).writeQueue();
    expect(kernel.calls).toEqual([["writev", 2]]);
  });
});

describe("the tunnel's socket", () => {
  const noEngine = { udpRejected: () => 0, pathError: () => undefined };

  test("receives all messages in spite of errors and short batches", () => {
    const { area, kernel, calls, counter } = open({ error: 0.3, errnos: [EAGAIN, EIO, ENETUNREACH], short: 0.5 });
    const device = new UdpDevice(NO_FD, area, noEngine, calls);
    kernel.left = MESSAGES;
    let received = 0;
    for (let i = 0; received < MESSAGES && i < MESSAGES; i++) received += device.receiveBatch();
    expect(received).toBe(MESSAGES);
    expect(counter(Counter.udpReceivedMessages)).toBe(MESSAGES);
    expect(kernel.calls.some(([, count]) => count < WorkerLayout.BATCH_SIZE)).toBe(true);
  });

  test.each([
    ["short calls alone", { short: 0.9 }],
    ["errors that pass", { error: 0.1, errnos: [EAGAIN, EINTR, ENOBUFS, EIO, EMSGSIZE, ENETUNREACH], short: 0.5 }],
  ])("sends every message once or counts it: %s", (_, faults) => {
    const { area, kernel, calls, counter, egressDrops } = open(faults);
    const device = new UdpDevice(NO_FD, area, noEngine, calls);
    for (let index = 0; index < MESSAGES; index++)
      area.setWord(WorkerLayout.UDP_TX + index * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_LENGTH, 1);
    area.setWord(WorkerLayout.UDP_TX_COUNT, MESSAGES);
    device.sendQueue();
    const lost = egressDrops(DropReason.sendFailed) + egressDrops(DropReason.queueFull);
    expect(counter(Counter.udpSentMessages) + lost).toBe(MESSAGES);
    expect(kernel.count("sendmmsg")).toBe(counter(Counter.udpSentMessages));
    expect(lost).toBeLessThan(MESSAGES / 10);
    expect(area.word(WorkerLayout.UDP_TX_COUNT)).toBe(0);
  });
});
