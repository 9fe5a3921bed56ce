// The devices: counters kept by halves, and what happens on real descriptors.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Counter } from "../../../../assembly/shared/counters.ts";
import * as WorkerLayout from "../../../../assembly/shared/layout/worker.ts";
import { DropReason } from "../../../../assembly/shared/verdicts.ts";
import type { WorkerArea } from "../../../../src/dataplane/io/device.ts";
import { TunDevice } from "../../../../src/dataplane/io/tun-device.ts";
import { UdpDevice } from "../../../../src/dataplane/io/udp-device.ts";
import { close, O_NONBLOCK, O_RDWR, open } from "../../../../src/sys/libc.ts";
import { namespaceProblem, runInNamespace, tunProblem } from "../../../support/namespace.ts";
import { AREAS_AT, createArea } from "../../../support/worker-area.ts";

describe("a worker's area", () => {
  test("is its own", () => {
    const { area } = createArea(1);
    expect(area.at).toBe(AREAS_AT + WorkerLayout.SIZE);
    expect(BigInt(area.nativeAt(8))).toBe(area.memoryBase + BigInt(AREAS_AT + WorkerLayout.SIZE + 8));
  });

  test("counts beyond 32 bits", () => {
    const { area, u64 } = createArea(1);
    const offset = WorkerLayout.COUNTERS + 8 * Counter.udpSentMessages;
    area.count(Counter.udpSentMessages, 0xfffffff0);
    area.count(Counter.udpSentMessages, 15);
    expect(u64(offset)).toBe(0xffffffffn);
    area.count(Counter.udpSentMessages, 1);
    expect(u64(offset)).toBe(0x100000000n);
    area.count(Counter.udpSentMessages, 0xffffffff);
    expect(u64(offset)).toBe(0x1ffffffffn);
    expect(u64(offset - 8)).toBe(0n);
    expect(u64(offset + 8)).toBe(0n);
  });

  test("keeps the drops of both directions apart", () => {
    const { area, u64 } = createArea();
    area.countEgressDrops(DropReason.sendFailed, 2);
    area.countIngressDrops(DropReason.sendFailed, 3);
    expect(u64(WorkerLayout.EGRESS_DROPS + 8 * DropReason.sendFailed)).toBe(2n);
    expect(u64(WorkerLayout.INGRESS_DROPS + 8 * DropReason.sendFailed)).toBe(3n);
  });
});

describe("a TUN that takes no more", () => {
  // A pipe stands for it: what it has no room for ends with EAGAIN as well.
  function openPipe(): number {
    const directory = mkdtempSync(join(tmpdir(), "sapwood-"));
    const path = join(directory, "pipe");
    execFileSync("mkfifo", [path]);
    const fd = open(path, O_RDWR | O_NONBLOCK);
    onTestFinished(() => {
      close(fd);
      rmSync(directory, { recursive: true });
    });
    return fd;
  }

  /** Queues `count` writes of 64 KiB, each of which carries 3 packets. */
  function queueWrites(area: WorkerArea, count: number): void {
    for (let index = 0; index < count; index++) {
      const at = WorkerLayout.TUN_TX + index * WorkerLayout.TUN_TX_SIZE;
      setAddress(area, at + WorkerLayout.TUN_TX_IOV, area.nativeAt(WorkerLayout.TX_IOVECS));
      area.setWord(at + WorkerLayout.TUN_TX_IOV_COUNT, 1);
      area.setWord(at + WorkerLayout.TUN_TX_PACKETS, 3);
    }
    setAddress(area, WorkerLayout.TX_IOVECS, area.nativeAt(WorkerLayout.TX_HEADERS));
    area.setWord(WorkerLayout.TX_IOVECS + 8, 65536);
    area.setWord(WorkerLayout.TUN_TX_COUNT, count);
  }

  function setAddress(area: WorkerArea, offset: number, address: number): void {
    area.setWord(offset, address % 2 ** 32);
    area.setWord(offset + 4, Math.floor(address / 2 ** 32));
  }

  test("loses what it has no room for, counted by packets, and goes on afterwards", () => {
    const { area, u64 } = createArea();
    const device = new TunDevice(openPipe(), area);
    queueWrites(area, 3);
    device.writeQueue();
    expect(u64(WorkerLayout.INGRESS_DROPS + 8 * DropReason.queueFull)).toBe(6n);
    expect(u64(WorkerLayout.COUNTERS + 8 * Counter.tunWrittenFrames)).toBe(1n);
    expect(area.word(WorkerLayout.TUN_TX_COUNT)).toBe(0);

    expect(device.readBatch()).toBe(1); // makes room, but for 65,600 bytes at once
    expect(area.word(WorkerLayout.TUN_LENGTHS)).toBe(65536);
    queueWrites(area, 1);
    device.writeQueue();
    expect(u64(WorkerLayout.COUNTERS + 8 * Counter.tunWrittenFrames)).toBe(2n);
  });
});

test("a descriptor that is none ends the worker by a sentence", () => {
  const { area } = createArea();
  expect(() => new TunDevice(-1, area).readBatch()).toThrowError("Reading the TUN failed with EBADF.");
  expect(() =>
    new UdpDevice(-1, area, { udpRejected: () => 0, pathError: () => undefined }).receiveBatch(),
  ).toThrowError("Receiving from the tunnel (recvmmsg) failed with EBADF.");
});

describe.skipIf(tunProblem !== undefined)(`on a real TUN${tunProblem ? ` (${tunProblem})` : ""}`, () => {
  let results: Record<string, unknown>;

  beforeAll(() => {
    const script = new URL("./in-namespace/tun-device.mjs", import.meta.url);
    results = runInNamespace(script) as typeof results;
  });

  test("the kernel answers the frames that were written", () => {
    const answer = { length: 38, source: "192.0.2.1", type: 0 };
    expect(results.answers).toEqual([
      { ...answer, sequence: 1 },
      { ...answer, sequence: 2 },
    ]);
    expect(results).toMatchObject({ empty: 0, queueLeft: 0 });
  });

  test("frames that the kernel refuses, or a TUN that is down, are counted by packets", () => {
    expect(results.counters).toEqual({ tunReadFrames: 2, tunWrittenFrames: 2, sendFailed: 3 + 5 });
  });

  test("a TUN that was deleted ends the worker", () => {
    expect(results.deleted).toEqual({
      code: "tun-unavailable",
      message: "Reading the TUN failed with EBADFD: the device was deleted.",
    });
  });
});

interface Written {
  readonly writes: number;
  readonly answered: readonly number[];
  readonly queueLeft: number;
  readonly written: number;
  readonly sendFailed: number;
}

describe.skipIf(tunProblem !== undefined)(`writes by a ring${tunProblem ? ` (${tunProblem})` : ""}`, () => {
  /** One in five of 150 frames is refused, and stands for two packets. */
  const answered = Array.from({ length: 150 }, (_, i) => i).filter((i) => i % 5 !== 4);
  const all = { answered, queueLeft: 0, written: 120, sendFailed: 60 };
  let results: { readonly oneByOne: Written; readonly byRing?: Written; readonly [name: string]: Written | undefined };

  beforeAll(() => {
    results = runInNamespace(new URL("./in-namespace/tun-ring.mjs", import.meta.url)) as typeof results;
  });

  test("where the kernel has none, each frame is a call", () => {
    expect(results.oneByOne).toEqual({ ...all, writes: 150 });
  });

  test("a ring does the same in the same order, without a call for each", ({ skip }) => {
    skip(results.byRing === undefined, "this kernel gives no ring");
    expect(results.byRing).toEqual({ ...all, writes: 0 });
  });

  test("a few frames are not worth it", ({ skip }) => {
    skip(results.byRing === undefined, "this kernel gives no ring");
    expect(results.few).toEqual({ writes: 7, answered: [0, 1, 2, 3, 5, 6], queueLeft: 0, written: 6, sendFailed: 2 });
  });

  test("what somebody who died left in the ring is forgotten", ({ skip }) => {
    skip(results.byRing === undefined, "this kernel gives no ring");
    expect(results.afterDeath).toEqual({ ...all, writes: 0 });
  });

  test("when the kernel takes nothing more by the ring, each frame is a call, and none is lost", ({ skip }) => {
    skip(results.byRing === undefined, "this kernel gives no ring");
    expect(results.withoutRing).toEqual({ ...all, writes: 150 });
  });
});

interface Transfer {
  readonly received: readonly Record<string, unknown>[];
  readonly [name: string]: unknown;
}

describe.skipIf(namespaceProblem !== undefined)(
  `on real UDP sockets${namespaceProblem ? ` (${namespaceProblem})` : ""}`,
  () => {
    let results: Readonly<Record<string, Transfer>>;

    beforeAll(() => {
      results = runInNamespace(new URL("./in-namespace/udp.mjs", import.meta.url)) as typeof results;
    });

    test.each([
      ["inUse", "port-in-use", "UDP port 50103 of :: is in use (EADDRINUSE)"],
      ["foreign", "network-setup", "192.0.2.77 is not an address of this machine"],
      ["noAddress", "config-invalid", 'found "somewhere"'],
    ])("%s: %s", (which, code, part) => {
      expect(results[which]).toMatchObject({ code, message: expect.stringContaining(part) });
    });

    test("the sockets of several workers share a port, also one that the kernel chose", () => {
      expect(results).toMatchObject({ one: [50103], three: [50103, 50103, 50103], anyPort: 1, again: [50103, 50103] });
    });

    test("a port is not shared with somebody else, although he shares it", () => {
      expect(results.ofOthers).toEqual(["port-in-use", "port-in-use"]);
    });

    test("offloads are in force, or switched off with a reason", () => {
      const names = ["udp-gso", "udp-gro"];
      expect(results.on?.offloads).toEqual(names.map((name) => ({ name, on: true, reason: "in force" })));
      const reason = "nobody wants it";
      expect(results.off?.offloads).toEqual(names.map((name) => ({ name, on: false, reason })));
    });

    test("what UDP_GRO had joined when it was switched off comes whole and without its segment size", () => {
      expect(results.switched).toEqual([
        { length: 2500, segmentSize: 0 },
        { length: 1000, segmentSize: 0 },
        { length: 1000, segmentSize: 0 },
        { length: 500, segmentSize: 0 },
        { count: 1, length: 2500 },
      ]);
    });

    test("messages for which the receive buffer had no room are counted by the kernel", () => {
      expect(results.drops).toEqual({ before: 0, after: 1 });
    });

    describe.each(["v4", "v6"])("%s", (family) => {
      test("messages arrive in order, segments joined, the refused one as its replacement", () => {
        const base = { segmentSize: 0, trafficClass: 0, nameLength: 28, fromPort: true };
        const segments = { ...base, payload: true, length: 2500, segmentSize: 1000 };
        const trafficClass = 0xba;
        expect(results[family]?.received).toEqual([
          { ...base, payload: "one", length: 3, trafficClass },
          { ...segments, trafficClass },
          { ...base, payload: "retried", length: 7 },
          { ...base, payload: "last", length: 4 },
          segments, // in the next batch, on structures that were used before
        ]);
        expect(results[family]?.counts).toEqual([4, 1, 0]);
      });

      test("the engine is told of an ICMP error, and what datagram it is about", () => {
        const [ECONNREFUSED, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6] = [111, 2, 3];
        const origin = family === "v4" ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6;
        expect(results[family]?.errors).toEqual([{ errno: ECONNREFUSED, origin, mtu: 0, quoted: 4, port: true }]);
      });

      test("the engine is asked for every refused message, once", () => {
        const [EINVAL, EMSGSIZE] = [22, 90];
        expect(results[family]?.rejections).toEqual([
          [2, EINVAL],
          [3, EMSGSIZE],
        ]);
      });

      test("messages and the packets of lost ones are counted", () => {
        expect(results[family]).toMatchObject({
          queueLeft: 0,
          udpSentMessages: 5,
          udpReceivedMessages: 5,
          sendFailed: 7 + 5, // the message without a replacement, and the replacement that was refused as well
          queueFull: 0,
        });
      });
    });
  },
);
