// What the watch tells of a machine whose clocks, descriptors, log and sockets are set by hand.
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { createLogger } from "../../../../src/base/log.ts";
import { EventAlarms } from "../../../../src/control/observe/event-alarms.ts";
import { EventLog } from "../../../../src/control/observe/event-log.ts";
import { MachineWatch } from "../../../../src/control/observe/machine-watch.ts";

let nowMs: number;
let wallMs: number;
let lost: number;
let unsent: { queueFull: number; sendFailed: number };
let refusal: string | undefined; // of a descriptor
let hasReserve: boolean;
let refused: string[];
let lines: { level: string; event: string }[];
let events: EventLog;
let watch: MachineWatch;

beforeEach(() => {
  nowMs = 1000;
  wallMs = 1_800_000_000_000;
  lost = 0;
  unsent = { queueFull: 0, sendFailed: 0 };
  refusal = undefined;
  hasReserve = true;
  refused = [];
  lines = [];
  events = new EventLog({ clock: () => new Date(wallMs), nowMs: () => nowMs });
  watch = new MachineWatch({
    alarms: new EventAlarms(events, createLogger("info", { write: (line) => void lines.push(JSON.parse(line)) })),
    nowMs: () => nowMs,
    wallMs: () => wallMs,
    descriptors: {
      fill: () => {
        if (refusal !== undefined) throw Object.assign(new Error(refusal), { code: refusal, syscall: "open" });
      },
      giveUp: () => hasReserve,
      refuseWaiting: (answer) => refused.push(Buffer.from(answer).toString()),
    },
    lostLogLines: () => lost,
    unsent: () => unsent,
  });
  onTestFinished(() => watch.close());
});

function look(afterMs = 1000, wallAfterMs = afterMs): string[] {
  nowMs += afterMs;
  wallMs += wallAfterMs;
  const before = events.all().length;
  watch.look();
  return events
    .all()
    .slice(before)
    .map(({ kind, message }) => `${kind}: ${message}`);
}

test("nothing is told of a calm machine, of a look that is late, or of a clock that is kept right", () => {
  for (const [afterMs, wallAfterMs] of [
    [1000, 1000],
    [4000, 4000],
    [1000, 1150],
    [1000, 850],
  ] as const) {
    expect(look(afterMs, wallAfterMs)).toEqual([]);
  }
});

test.each([
  [3_601_000, "ahead", "3600 s"],
  [-86_399_000, "back", "86400 s"],
  [3000, "ahead", "2 s"],
])("a clock that moves by %i ms in a second jumped %s by %s, once", (movedMs, way, size) => {
  const said = `clock-jumped: The machine's clock was set ${way} by ${size}, or the machine slept.`;
  expect(look(1000, movedMs)).toEqual([said]);
  expect(look()).toEqual([]);
  expect(lines).toMatchObject([{ level: "error", event: "clock-jumped" }]);
});

test("a process that was stopped for three minutes says so, and its clock did not jump", () => {
  expect(look(181_000)).toEqual([expect.stringContaining("process-paused: The process did not run for 180 s")]);
  expect(look()).toEqual([]);
});

test("no descriptor is told once, with what to do, and that there is one again", () => {
  refusal = "EMFILE";
  expect(look()).toEqual([expect.stringContaining("out-of-descriptors: The process has as many files")]);
  expect(events.all().at(-1)?.advice).toContain("LimitNOFILE");
  for (let i = 0; i < 1000; i++) expect(look()).toEqual([]);
  refusal = undefined;
  expect(look()).toEqual(["recovered: The process can open files and sockets again."]);
  expect(look()).toEqual([]);
});

test("who waits to be answered is refused at each look, where what is held does not suffice", () => {
  refusal = "EMFILE";
  look();
  expect(refused).toEqual([]);
  hasReserve = false;
  expect(look()).toEqual([]);
  const [head = "", body = ""] = (refused[0] ?? "").split("\r\n\r\n");
  expect(head).toMatch(/^HTTP\/1\.1 503 /);
  expect(head).toContain(`content-length: ${Buffer.byteLength(body)}`);
  expect(JSON.parse(body)).toMatchObject({ error: { code: "out-of-descriptors", details: [] } });
  look();
  expect(refused).toHaveLength(2);
});

test("lines that the log lost are told once a minute, and none is left out of the number", () => {
  lost = 3;
  expect(look()).toEqual(["log-unwritable: 3 lines of the log could not be written."]);
  const later = Array.from({ length: 60 }, () => {
    lost += 1;
    return look();
  }).flat();
  expect(later).toEqual(["log-unwritable: 60 lines of the log could not be written."]);
});

test("packets that the kernel did not take are told once a minute, by what it said", () => {
  unsent = { queueFull: 7, sendFailed: 0 };
  expect(look()).toEqual([expect.stringMatching(/^sends-refused: .*: 7 for which a queue had no room \(ENOBUFS\)\.$/)]);
  unsent = { queueFull: 7, sendFailed: 2 };
  expect(look()).toEqual([]);
  expect(look(60_000)).toContainEqual(expect.stringMatching(/^sends-refused: .*: 2 that it refused\.$/));
});
