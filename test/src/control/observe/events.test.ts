// What counts as an event, and how the ring of them behaves when there are many.

import { describe, expect, test } from "vitest";
import { EventLog } from "../../../../src/control/observe/event-log.ts";
import { type Situation, whatHappened } from "../../../../src/control/observe/event-watch.ts";
import type { EventReport } from "../../../../src/model/reports.ts";

const CALM: Situation = {
  nodes: new Map([["node-b", { state: "reachable", mtu: null }]]),
  offloads: new Map([["tun-udp", { on: true, reason: "in force" }]]),
  policies: new Map([["closest", { sha256: "aa", fault: undefined }]]),
  engine: { sha256: "ee", fault: undefined },
  lastReload: undefined,
  workerRestarts: [0, 0],
  network: { repairs: 0, problems: [], lastRepair: "" },
  flowsSqueezed: 0,
};
const RELOAD = { at: "2026-01-02T03:04:05.000Z", source: "node.yaml", generation: 2, needRestart: [] };
const FAULT = { at: new Date(1000), message: "choose: unreachable" };

function node(state: "unknown" | "reachable" | "lost", mtu: number | null = null): Partial<Situation> {
  return { nodes: new Map([["node-b", { state, mtu }]]) };
}

describe("what happened", () => {
  test("nothing, when nothing changed", () => {
    expect(whatHappened(CALM, { ...CALM })).toEqual([]);
  });

  test.each<[string, Partial<Situation>, Partial<Situation>, RegExp]>([
    ["node-lost", {}, node("lost"), /node-b does not answer any more/],
    ["node-found", node("lost"), node("reachable"), /node-b answers again/],
    ["node-found", node("unknown"), node("reachable"), /node-b answers\./],
    ["path-mtu", {}, node("reachable", 1400), /may have 1400 bytes/],
    ["path-mtu", node("reachable", 1400), node("reachable", 1300), /may have 1300 bytes/],
    [
      "offload-refused",
      {},
      { offloads: new Map([["tun-udp", { on: false, reason: "refused with EINVAL" }]]) },
      /EINVAL/,
    ],
    ["policy-faulty", {}, { policies: new Map([["closest", { sha256: "aa", fault: FAULT }]]) }, /choose: unreachable/],
    [
      "policy-swapped",
      {},
      { policies: new Map([["closest", { sha256: "bb", fault: undefined }]]) },
      /closest is bb now/,
    ],
    [
      "policy-swapped",
      {},
      { policies: new Map([["mine", { sha256: "cc", fault: undefined }], ...CALM.policies]) },
      /mine is cc/,
    ],
    ["engine-faulty", {}, { engine: { sha256: "ee", fault: FAULT } }, /The engine failed/],
    ["engine-swapped", {}, { engine: { sha256: "ff", fault: undefined } }, /The engine is ff now/],
    ["tables-applied", {}, { lastReload: { ...RELOAD, ok: true } }, /Generation 2/],
    [
      "reload-refused",
      {},
      { lastReload: { ...RELOAD, ok: false, error: { code: "usage", message: "No.", details: [] } } },
      /No\./,
    ],
    ["worker-restarted", {}, { workerRestarts: [0, 1] }, /Worker 1/],
    ["network-problem", {}, { network: { ...CALM.network, problems: ["The link is down."] } }, /link is down/],
    ["network-repaired", {}, { network: { ...CALM.network, repairs: 1, lastRepair: "a route" } }, /a route/],
    ["flow-table-full", {}, { flowsSqueezed: 12 }, /12 flows/],
  ])("%s, once", (kind, before, after, message) => {
    const now = { ...CALM, ...after };
    const events = whatHappened({ ...CALM, ...before }, now);
    expect(events.map((event) => event.kind)).toEqual([kind]);
    expect(events[0]?.message).toMatch(message);
    expect(whatHappened(now, now)).toEqual([]);
  });

  test("what was switched off on purpose is none", () => {
    const reason = "switched off in the configuration";
    expect(whatHappened(CALM, { ...CALM, offloads: new Map([["tun-udp", { on: false, reason }]]) })).toEqual([]);
  });
});

describe("the ring of events", () => {
  function ring(capacity = 3) {
    const clock = { ms: 0 };
    const log = new EventLog({ clock: () => new Date(clock.ms), nowMs: () => clock.ms, capacity });
    return { clock, log };
  }

  test("forgets the oldest", () => {
    const { log } = ring();
    for (const subject of ["a", "b", "c", "d"]) log.add({ kind: "node-lost", subject, message: "Lost." });
    expect(log.all().map(({ id, subject }) => [id, subject])).toEqual([
      [2, "b"],
      [3, "c"],
      [4, "d"],
    ]);
  });

  test("tells the same about a subject five times a minute, and how often it was left out", () => {
    const { clock, log } = ring(100);
    for (let i = 0; i < 20; i++) log.add({ kind: "node-lost", subject: "a", message: "Lost." });
    log.add({ kind: "node-lost", subject: "b", message: "Lost." });
    log.add({ kind: "node-found", subject: "a", message: "Found." });
    expect(log.all()).toHaveLength(7);
    clock.ms = 60_001;
    log.add({ kind: "node-lost", subject: "a", message: "Lost." });
    expect(log.all().at(-1)).toMatchObject({ kind: "node-lost", untold: 15 });
  });

  test("tells its followers until they leave, and takes a bounded number of them", () => {
    const { log } = ring();
    const heard: EventReport[] = [];
    const leave = log.follow((event) => heard.push(event));
    log.add({ kind: "tables-applied", message: "One." });
    leave();
    log.add({ kind: "tables-applied", message: "Two." });
    expect(heard.map(({ message }) => message)).toEqual(["One."]);
    for (let i = 0; i < 32; i++) {
      log.expectRoom();
      log.follow(() => undefined);
    }
    expect(() => log.expectRoom()).toThrow(/At most 32 clients/);
  });
});
