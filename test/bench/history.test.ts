// The history of published figures: lines are only added, and each says when, where and of what it is.

import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { chartOf, publish, readHistory } from "../../bench/history.ts";
import { renderHistoryChart } from "../../bench/history-chart.ts";
import { text } from "../support/source-files.ts";

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-history-"));
  file = join(folder, "results", "history.jsonl");
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

test("each run adds a line with date, commit, machine, options and figures", () => {
  publish("micro", { seconds: 1 }, [{ name: "flow hit", value: 12.5, unit: "ns" }], file);
  const first = readFileSync(file, "utf8");
  publish("path", { rounds: 3 }, [{ name: "tcp1_v4 sapwood", value: 8.7, unit: "Gbit/s" }], file);
  expect(readFileSync(file, "utf8").startsWith(first)).toBe(true);
  const runs = readHistory(file);
  expect(runs.map(({ subject, options, figures }) => ({ subject, options, figures }))).toEqual([
    { subject: "micro", options: { seconds: 1 }, figures: [{ name: "flow hit", value: 12.5, unit: "ns" }] },
    { subject: "path", options: { rounds: 3 }, figures: [{ name: "tcp1_v4 sapwood", value: 8.7, unit: "Gbit/s" }] },
  ]);
  for (const { date, commit, machine } of runs) {
    expect(new Date(date).toISOString()).toBe(date);
    expect(commit).toMatch(/^(?:[0-9a-f]{12}\+?|unknown)$/);
    expect(machine.node).toBe(process.version);
  }
});

test("a chart is drawn with each run, and the committed one is that of the committed history", () => {
  publish("path", {}, [{ name: "tcp1_v4 sapwood", value: 8.7, unit: "Gbit/s" }], file);
  expect(readFileSync(file.replace("jsonl", "svg"), "utf8")).toContain("<title>8.7 Gbit/s");
  expect(text("bench/results/history.svg")).toBe(chartOf("bench/results/history.jsonl"));
});

test.each(["", "{", "5", '{"date":"2026-01-01"}'])("%j is no run, and its line is named", (line) => {
  publish("micro", {}, [], file);
  appendFileSync(file, `${line}\n{}\n`);
  expect(() => readHistory(file)).toThrow("history.jsonl:2: expected a run of a benchmark");
});

test("the chart has a dot for each run of a figure, in its machine's colour, the later one further right", () => {
  const machine = { processor: "a & b", processors: 2, memoryGiB: 4, kernel: "6.18", node: "v20" };
  const run = (day: number, value: number, processor: string) => ({
    date: `2026-01-0${day}T00:00:00.000Z`,
    commit: "0123456789ab",
    subject: "path",
    options: {},
    machine: { ...machine, processor },
    figures: [
      { name: "tcp1_v4 sapwood / kernel", value, unit: "ratio" },
      { name: "rtt_p50_v4 sapwood / kernel", value: 1, unit: "ratio" },
    ],
  });
  const svg = renderHistoryChart([run(1, 0.25, "a & b"), run(2, 0.5, "a & b"), run(3, 0.5, "other")], (name) =>
    name.includes("tcp1"),
  );
  expect(svg).toContain("path: tcp1_v4 sapwood / kernel, ratio");
  expect(svg).not.toContain("rtt");
  expect(svg).toContain("a &amp; b");
  const dots = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="3.5" fill="(#\w+)"><title>([\d.]+ ratio)/g)];
  const [first, second, third] = dots.map(([, x, y, colour]) => ({ x: Number(x), y: Number(y), colour }));
  expect(dots.map(([, , , , label]) => label)).toEqual(["0.25 ratio", "0.5 ratio", "0.5 ratio"]);
  expect(first?.x).toBeLessThan(second?.x ?? 0);
  expect(first?.y).toBeGreaterThan(second?.y ?? 0); // higher up is more
  expect([second?.y, second?.colour]).toEqual([third?.y, first?.colour]);
  expect(third?.colour).not.toBe(first?.colour);
});
