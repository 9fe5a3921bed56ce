// When the watch looks, what it tells, and how it gives way to whoever changes the same again and again.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SapwoodError } from "../../../../src/base/errors.ts";
import { createLogger } from "../../../../src/base/log.ts";
import { NetworkWatch } from "../../../../src/control/underlay/network-watch.ts";
import type { KeptState } from "../../../../src/sys/interface-state.ts";
import type { NetworkChange } from "../../../../src/sys/network-events.ts";

const GOOD: KeptState = { isUp: true, routes: ["10.30.0.0/16"], repaired: [], problems: [], hasActed: false };
const REPAIRED: KeptState = { ...GOOD, repaired: ["the link was down"], hasActed: true };

describe("NetworkWatch", () => {
  let lines: string[];
  let checks: number[]; // when, in ms
  let next: () => KeptState;
  let change: NetworkChange; // of the next looks
  let tellsFilters: boolean;
  let signal: () => void;
  let drifted: boolean;
  let gone: SapwoodError | undefined;
  let watch: NetworkWatch;
  let other: () => Promise<KeptState>;

  beforeEach(() => {
    vi.useFakeTimers({ now: 0 });
    lines = [];
    checks = [];
    next = () => GOOD;
    change = "none";
    tellsFilters = true;
    drifted = false;
    gone = undefined;
    other = async () => GOOD;
    const expectThere = (): void => {
      if (gone !== undefined) throw gone;
    };
    const check = async (): Promise<KeptState> => {
      checks.push(Date.now());
      return next();
    };
    watch = new NetworkWatch({
      tun: { indices: [7], check, expectThere },
      routes: ["10.30.0.0/16"],
      others: [{ indices: [8], linkIndices: [9], check: () => other(), hasDrifted: () => drifted }],
      events: {
        get tellsFilters() {
          return tellsFilters;
        },
        listen: (listener) => {
          signal = listener;
        },
        look: (interfaces, links) => (interfaces.join() === "7,8" && links.join() === "9" ? change : "none"),
        close: () => undefined,
      },
      log: createLogger("info", { write: (line) => lines.push(JSON.parse(line).msg) }),
      nowMs: () => Date.now(),
      clock: () => new Date(0),
    });
  });
  afterEach(async () => {
    await watch.close();
    vi.useRealTimers();
  });

  /** The kernel tells of a change. */
  function tell(what: NetworkChange): void {
    change = what;
    signal();
  }

  test("looks soon after an event, and hardly ever without one", async () => {
    await vi.advanceTimersByTimeAsync(1000);
    expect(checks).toEqual([200]);
    tell("ours");
    await vi.advanceTimersByTimeAsync(200);
    change = "none";
    expect(checks).toEqual([200, 1200]);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(checks.length).toBeGreaterThan(8);
    expect(checks.length).toBeLessThan(15);
    expect(lines).toEqual([]);
  });

  test("looks at what happens elsewhere at once when it is quiet, and every five seconds when it goes on", async () => {
    await vi.advanceTimersByTimeAsync(10_000);
    tell("elsewhere");
    await vi.advanceTimersByTimeAsync(200);
    expect(checks).toEqual([200, 10_200]);
    for (let i = 0; i < 200; i++) {
      signal();
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(checks.slice(2)).toEqual([15_200, 20_200, 25_200, 30_200]);
  });

  test("looks within five seconds at what changed without an event", async () => {
    await vi.advanceTimersByTimeAsync(20_000);
    drifted = true;
    await vi.advanceTimersByTimeAsync(5000);
    expect(checks).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(20_000); // and nothing puts it back
    expect(checks).toHaveLength(6);
  });

  test.each([
    ["the kernel does not tell of packet filters", () => (tellsFilters = false)],
    ["something is wrong", () => (next = () => ({ ...GOOD, problems: ["Somebody is in the way."] }))],
  ])("looks every five seconds as long as %s", async (_what, prepare) => {
    prepare();
    await vi.advanceTimersByTimeAsync(31_000);
    expect(checks.length).toBeGreaterThan(5);
    expect(checks.length).toBeLessThan(8);
  });

  test("tells a repair once, in log and report", async () => {
    next = () => (checks.length === 1 ? REPAIRED : GOOD);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(lines).toEqual(["somebody changed the node's network; it is as it was before"]);
    const lastRepair = { at: "1970-01-01T00:00:00.000Z", what: ["the link was down"] };
    expect(watch.report).toEqual({ isUp: true, routes: ["10.30.0.0/16"], problems: [], repairs: 1, lastRepair });
  });

  test("answers ever more slowly whoever goes on changing it", async () => {
    change = "ours";
    next = () => REPAIRED;
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(checks.slice(0, 4).at(-1)).toBeLessThan(3000);
    expect(checks.length).toBeLessThan(100);
    expect(checks.length).toBeGreaterThan(30);
  });

  test("tells a problem once as long as it lasts, and its end", async () => {
    next = () => ({ ...GOOD, problems: ["Somebody is in the way."] });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(watch.report.problems).toEqual(["Somebody is in the way."]);
    next = () => GOOD;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(lines).toEqual(["Somebody is in the way.", "nothing is wrong with the node's network any more"]);
  });

  test("fails at once when the TUN is gone, also in a pause, and looks no more", async () => {
    next = () => REPAIRED;
    change = "ours";
    await vi.advanceTimersByTimeAsync(60_000);
    const before = checks.length;
    gone = new SapwoodError("tun-unavailable", "The TUN is gone.");
    signal();
    await vi.advanceTimersByTimeAsync(200);
    await expect(watch.failure).rejects.toBe(gone);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(checks).toHaveLength(before);
  });

  test("tells that another interface cannot be looked at, and keeps the TUN", async () => {
    other = () => Promise.reject(new SapwoodError("network-setup", "No interface there."));
    next = () => (checks.length === 1 ? REPAIRED : GOOD);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(watch.report).toMatchObject({ isUp: true, repairs: 1, problems: ["No interface there."] });
  });

  test("tells once that it cannot look, goes on, and tells when it can", async () => {
    next = () => {
      if (checks.length < 20) throw new SapwoodError("missing-tool", "There is no ip.");
      return GOOD;
    };
    const problem = "Whether the node's network is as it was set up cannot be seen: There is no ip.";
    await vi.advanceTimersByTimeAsync(30_000);
    expect(watch.report.problems).toEqual([problem]);
    expect(lines).toEqual([problem]);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(watch.report.problems).toEqual([]);
    expect(lines).toEqual([problem, "nothing is wrong with the node's network any more"]);
  });
});
