// The history of published figures: lines are only added, and each says when, where and of what it is.

import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { publish, readHistory } from "../../bench/history.ts";

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

test.each(["", "{", "5", '{"date":"2026-01-01"}'])("%j is no run, and its line is named", (line) => {
  publish("micro", {}, [], file);
  appendFileSync(file, `${line}\n{}\n`);
  expect(() => readHistory(file)).toThrow("history.jsonl:2: expected a run of a benchmark");
});
