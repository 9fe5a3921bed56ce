// One breath after the other, over devices, an engine and a clock that the test holds.
import { describe, expect, test } from "vitest";
import { READY_TUN, READY_UDP } from "../../../../src/dataplane/io/device.ts";
import type { EngineExports } from "../../../../src/dataplane/modules/engine-contract.ts";
import { type EngineSeat, Loop } from "../../../../src/dataplane/worker/loop.ts";
import { Spin } from "../../../../src/dataplane/worker/spin.ts";

/** Records every call in order; each breath takes its script's next entry. */
class World {
  readonly calls: string[] = [];
  readonly timeouts: number[] = [];
  readonly sweeps: { readonly nowUs: number; readonly budget: number }[] = [];
  nowUs = 1000;
  flowRecords = 2000;
  parked = 0;
  ready = 0;
  /** Frames and messages that the next batch has. */
  frames = 0;
  messages = 0;
  /** Slots that the engine handles per call. */
  perCall = 64;
  /** What attendOrders does and answers; nothing is ordered unless a test says so. */
  attendOrders = (): boolean => true;
  readonly seat: EngineSeat = { current: this.createEngine() };

  createEngine(name = ""): EngineExports {
    return {
      layoutVersion: () => 1,
      attach: () => undefined,
      egress: (first, count) => this.#handle(`${name}egress`, first, count),
      ingress: (first, count) => this.#handle(`${name}ingress`, first, count),
      probe: () => {
        this.calls.push("probe");
        return 1;
      },
      sweep: (nowUs, budget) => {
        this.sweeps.push({ nowUs, budget });
        return 0;
      },
      unpark: () => {
        this.calls.push("unpark");
        this.parked = Math.max(0, this.parked - this.perCall);
        return this.parked;
      },
      udpRejected: () => 0,
      pathError: () => undefined,
    };
  }

  /** `probePauseUs`: what the engine says; undefined = another worker probes. */
  createLoop(probePauseUs?: number, spin?: Spin): Loop {
    return new Loop({
      engine: this.seat,
      tun: { readBatch: () => this.#take("frames"), writeQueue: () => this.calls.push("write") },
      udp: { receiveBatch: () => this.#take("messages"), sendQueue: () => this.calls.push("send") },
      waiter: {
        wait: (timeoutMs) => {
          this.timeouts.push(timeoutMs);
          return this.ready;
        },
      },
      clock: () => this.nowUs,
      flowRecords: () => this.flowRecords,
      parkedPackets: () => this.parked,
      probePauseUs: probePauseUs === undefined ? undefined : () => probePauseUs,
      spin,
      attendOrders: () => this.attendOrders(),
    });
  }

  #handle(name: string, first: number, count: number): number {
    this.calls.push(`${name} ${first}-${count}`);
    return Math.min(count, first + this.perCall);
  }

  #take(which: "frames" | "messages"): number {
    const count = this[which];
    this[which] = 0;
    this.calls.push(which);
    return count;
  }
}

describe("a breath", () => {
  test.each([
    ["nothing", 0, []],
    ["frames", READY_TUN, ["frames", "egress 0-2", "send", "write"]],
    ["messages", READY_UDP, ["messages", "ingress 0-3", "send", "write"]],
    [
      "both",
      READY_TUN | READY_UDP,
      ["frames", "egress 0-2", "send", "write", "messages", "ingress 0-3", "send", "write"],
    ],
  ])("with %s ready touches no other device", (_what, ready, calls) => {
    const world = new World();
    Object.assign(world, { ready, frames: 2, messages: 3 });
    const handled = world.createLoop().breathe();
    expect(world.calls).toEqual(calls);
    expect(handled).toBe(((ready & READY_TUN) !== 0 ? 2 : 0) + ((ready & READY_UDP) !== 0 ? 3 : 0));
  });

  test("empties the queues whenever the engine stops because one is full", () => {
    const world = new World();
    Object.assign(world, { ready: READY_TUN, frames: 5, perCall: 2 });
    world.createLoop().breathe();
    const flush = ["send", "write"];
    expect(world.calls).toEqual(["frames", "egress 0-5", ...flush, "egress 2-5", ...flush, "egress 4-5", ...flush]);
  });

  test("ends although the engine does not advance", () => {
    const world = new World();
    Object.assign(world, { ready: READY_UDP, messages: 2, perCall: 0 });
    world.createLoop().breathe();
    expect(world.calls.filter((call) => call.startsWith("ingress"))).toEqual(["ingress 0-2", "ingress 1-2"]);
  });

  test("with a descriptor that is ready for nothing calls no engine", () => {
    const world = new World();
    world.ready = READY_TUN | READY_UDP;
    world.createLoop().breathe();
    expect(world.calls).toEqual(["frames", "messages"]);
  });
});

describe("waiting", () => {
  test("an idle loop sleeps each time, at most 400 ms", () => {
    const world = new World();
    const loop = world.createLoop();
    for (let i = 0; i < 5; i++) loop.breathe();
    expect(world.timeouts).toEqual([400, 400, 400, 400, 400]);
  });

  test.each([
    ["as soon as may be", 0, [50, 20, 0]],
    ["for a while", 200_000, [200, 170, 0]],
    ["for very long", 10_000_000, [400, 400, 400]],
  ])("a prober sleeps until a node has to be looked at: nothing is due %s", (_when, pauseUs, timeouts) => {
    const world = new World();
    const loop = world.createLoop(pauseUs);
    loop.breathe();
    world.nowUs += 30_500;
    loop.breathe();
    world.nowUs += 500_000;
    loop.breathe();
    expect(world.timeouts).toEqual(timeouts);
  });

  test("packets that wait for an address keep it awake", () => {
    const world = new World();
    world.parked = 1;
    world.createLoop(400_000).breathe();
    expect(world.timeouts).toEqual([10]);
  });

  test("after work it looks before it sleeps, the more the more often that found work", () => {
    const world = new World();
    const loop = world.createLoop();
    const work = (rounds: number): void => {
      for (let i = 0; i < rounds; i++) {
        Object.assign(world, { ready: READY_TUN, frames: 1 });
        loop.breathe();
      }
      world.ready = 0;
    };
    const looksBeforeSleep = (): number => {
      world.timeouts.length = 0;
      while (world.timeouts.at(-1) !== 400) loop.breathe();
      return world.timeouts.length - 1;
    };
    work(1);
    expect(looksBeforeSleep()).toBe(0);
    work(100);
    const most = looksBeforeSleep();
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
    for (let i = 0; i < 20; i++) {
      work(1);
      looksBeforeSleep();
    }
    work(1);
    expect(looksBeforeSleep()).toBe(1); // the clock stands still: packets come fast
  });

  test.each([
    ["that come slowly, it sleeps at once", 1000, 0],
    ["that come fast, it looks once", 19, 1],
  ])("after packets %s", (_what, gapUs, expected) => {
    const world = new World();
    const loop = world.createLoop();
    for (let i = 0; i < 100; i++) {
      Object.assign(world, { ready: READY_TUN, frames: 1, nowUs: world.nowUs + gapUs });
      loop.breathe();
      world.timeouts.length = 0;
      world.ready = 0;
      while (world.timeouts.at(-1) !== 400) loop.breathe();
      if (i > 0) expect(world.timeouts).toHaveLength(expected + 1);
    }
  });

  test("a loop that may spin looks on after work, and carries out orders and what is due meanwhile", () => {
    const world = new World();
    const spin = new Spin({ idleUs: () => 4 * world.nowUs }, world.nowUs);
    const loop = world.createLoop(0, spin);
    world.nowUs += 100_000;
    Object.assign(world, { ready: READY_TUN, frames: 1 });
    loop.breathe();
    world.ready = 0;
    world.timeouts.length = 0;
    for (let i = 0; i < 25; i++) {
      world.nowUs += 10;
      loop.breathe();
    }
    expect(world.timeouts.slice(0, 19)).toEqual(new Array(19).fill(0));
    expect(world.timeouts.slice(20)).toEqual(new Array(5).fill(50));
    expect(world.calls).toContain("probe");
  });

  test("run() ends when an order says so, before the next breath", () => {
    const world = new World();
    const loop = world.createLoop();
    world.attendOrders = () => false;
    loop.run();
    expect(world.timeouts).toEqual([]);
  });

  test("an engine that an order puts in force handles all frames from the next breath on", () => {
    const world = new World();
    const next = world.createEngine("next ");
    let breaths = 0;
    world.attendOrders = () => {
      Object.assign(world, { ready: READY_TUN, frames: 70 });
      if (breaths === 1) world.seat.current = next;
      breaths += 1;
      return breaths < 3;
    };
    world.createLoop().run();
    const handled = world.calls.filter((call) => call.includes("egress"));
    expect(handled).toEqual(["egress 0-70", "egress 64-70", "next egress 0-70", "next egress 64-70"]);
  });
});

describe("what is due by time", () => {
  test.each([
    ["idle", 0, 400_000],
    ["busy", READY_TUN, 10_000],
    ["busier than it can", READY_TUN, 700],
  ])("the whole table is swept within 2 s when %s", (_what, ready, breathUs) => {
    const world = new World();
    const loop = world.createLoop();
    for (let elapsedUs = 0; elapsedUs < 2_020_000; elapsedUs += breathUs) {
      Object.assign(world, { ready, frames: 1, nowUs: world.nowUs + breathUs });
      loop.breathe();
    }
    const swept = world.sweeps.reduce((sum, { budget }) => sum + budget, 0);
    expect(swept).toBeGreaterThanOrEqual(2000);
    expect(swept).toBeLessThan(2500);
  });

  test.each([
    ["seconds", 2_100_000],
    ["minutes", 180_000_000],
  ])(
    "a loop that was stopped for %s reads what waits for two seconds, before flows that look idle end",
    (_what, stoppedUs) => {
      const world = new World();
      const loop = world.createLoop();
      loop.breathe();
      world.nowUs += stoppedUs;
      const resumedUs = world.nowUs;
      for (; world.nowUs < resumedUs + 1_990_000; world.nowUs += 10_000) {
        Object.assign(world, { ready: READY_TUN, frames: 1 });
        loop.breathe();
      }
      expect(world.calls.filter((call) => call.startsWith("egress"))).toHaveLength(199);
      expect(world.sweeps).toEqual([]);
      for (; world.nowUs < resumedUs + 4_100_000; world.nowUs += 10_000) loop.breathe();
      expect(world.sweeps.reduce((sum, { budget }) => sum + budget, 0)).toBeGreaterThanOrEqual(2000);
    },
  );

  test("the longest sleep is no stop", () => {
    const world = new World();
    const loop = world.createLoop();
    world.nowUs += 2_000_000;
    loop.breathe();
    expect(world.sweeps.map(({ budget }) => budget)).toEqual([2000]);
  });

  test.each([
    [0, ["probe", "send", "write"]],
    [undefined, []],
  ])("probes leave 50 ms apart at the most, from the prober only (pause: %s)", (pauseUs, calls) => {
    const world = new World();
    const loop = world.createLoop(pauseUs);
    world.nowUs += 49_999;
    loop.breathe();
    expect(world.calls).toEqual([]);
    world.nowUs += 1;
    loop.breathe();
    loop.breathe();
    expect(world.calls).toEqual(calls);
  });

  test("load does not keep probes from leaving", () => {
    const world = new World();
    const loop = world.createLoop(0);
    Object.assign(world, { ready: READY_TUN, frames: 64, nowUs: world.nowUs + 50_000 });
    loop.breathe();
    expect(world.calls).toContain("probe");
  });
});
