// When the watch looks, what it tells, and how it gives way to whoever changes the same again and again.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SapwoodError } from "../../../../src/base/errors.ts";
import { createLogger } from "../../../../src/base/log.ts";
import { NetworkWatch } from "../../../../src/control/underlay/network-watch.ts";
import type { KeptState } from "../../../../src/sys/interface-state.ts";

const GOOD: KeptState = { isUp: true, routes: ["10.30.0.0/16"], repaired: [], problems: [], hasActed: false };
const REPAIRED: KeptState = { ...GOOD, repaired: ["the link was down"], hasActed: true };

describe("NetworkWatch", () => {
  let lines: string[];
  let checks: number[]; // when, in ms
  let next: () => KeptState;
  let hasEvent: boolean;
  let gone: SapwoodError | undefined;
  let watch: NetworkWatch;
  let other: () => Promise<KeptState>;

  beforeEach(() => {
    vi.useFakeTimers({ now: 0 });
    lines = [];
    checks = [];
    next = () => GOOD;
    hasEvent = false;
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
      others: [{ indices: [8], check: () => other() }],
      events: { concern: (interfaces) => hasEvent && interfaces.includes(7), close: () => undefined },
      log: createLogger("info", { write: (line) => lines.push(JSON.parse(line).msg) }),
      nowMs: () => Date.now(),
      clock: () => new Date(0),
    });
  });
  afterEach(async () => {
    await watch.close();
    vi.useRealTimers();
  });

  test("looks now and then without an event, and soon after one", async () => {
    await vi.advanceTimersByTimeAsync(1000);
    expect(checks).toHaveLength(1);
    hasEvent = true;
    await vi.advanceTimersByTimeAsync(200);
    hasEvent = false;
    expect(checks).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(checks.length).toBeGreaterThan(4);
    expect(checks.length).toBeLessThan(9);
    expect(lines).toEqual([]);
  });

  test("tells a repair once, in log and report", async () => {
    next = () => (checks.length === 1 ? REPAIRED : GOOD);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(lines).toEqual(["somebody changed the node's network; it is as it was before"]);
    const lastRepair = { at: "1970-01-01T00:00:00.000Z", what: ["the link was down"] };
    expect(watch.report).toEqual({ isUp: true, routes: ["10.30.0.0/16"], problems: [], repairs: 1, lastRepair });
  });

  test("answers ever more slowly whoever goes on changing it", async () => {
    hasEvent = true;
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
    hasEvent = true;
    await vi.advanceTimersByTimeAsync(60_000);
    const before = checks.length;
    gone = new SapwoodError("tun-unavailable", "The TUN is gone.");
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

  test("goes on after an error of the look itself", async () => {
    next = () => {
      if (checks.length === 1) throw new SapwoodError("missing-tool", "no ip");
      return GOOD;
    };
    await vi.advanceTimersByTimeAsync(30_000);
    expect(lines).toEqual(["could not see whether the node's network is as it was"]);
    expect(checks.length).toBeGreaterThan(3);
  });
});
