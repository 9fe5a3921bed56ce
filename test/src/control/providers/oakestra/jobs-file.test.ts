// The jobs that outlive the process: what is written comes back, and nothing odd in the file harms the start.
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { SavedJob } from "../../../../../src/control/providers/oakestra/jobs.ts";
import { JobsFile, type JobsFileOptions } from "../../../../../src/control/providers/oakestra/jobs-file.ts";

const OWNER = { workerId: "65a0", clusterAddress: "192.0.2.1" };

let folder: string;
let told: string[];
let jobs: readonly SavedJob[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-jobs-"));
  told = [];
  jobs = ["a.d.a.d", "b.d.b.d"].map((name) => ({ name, instances: [{ instance_number: 0 }] }));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

function open(options: Partial<JobsFileOptions> = {}): JobsFile {
  const { workerId, clusterAddress } = OWNER;
  const owner = { workerId, clusterAddress: () => clusterAddress };
  return new JobsFile({ folder, ...owner, jobs: () => jobs, tell: (sentence) => told.push(sentence), ...options });
}

function path(): string {
  return join(folder, "jobs.json");
}

function save(options: Partial<JobsFileOptions> = {}): void {
  const file = open(options);
  file.onChange();
  file.close();
}

test("what was written is read by the next process, and by nobody else", () => {
  save();
  expect(open().read()).toEqual(jobs);
  expect(statSync(path()).mode & 0o777).toBe(0o600);
  expect(open({ workerId: "65a1" }).read()).toEqual([]);
  expect(open({ clusterAddress: () => "192.0.2.2" }).read()).toEqual([]);
  expect(told).toEqual([]);
});

test("many changes are one write, and a worker that has ended writes no more", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  let writes = 0;
  const counted = () => {
    writes += 1;
    return jobs;
  };
  const file = open({ jobs: counted });
  for (let i = 0; i < 100; i++) file.onChange();
  expect(writes).toBe(0);
  vi.advanceTimersByTime(2000);
  expect(writes).toBe(1);
  file.onChange();
  file.close();
  file.onChange();
  vi.advanceTimersByTime(2000);
  expect(writes).toBe(2);
});

test("jobs that have no room are left out, the oldest first, and that is told once", () => {
  const [first, last] = jobs;
  const mostBytes = JSON.stringify({ version: 1, ...OWNER, jobs: [last] }).length + 1;
  const file = open({ mostBytes, pauseMs: 0 });
  file.onChange();
  file.close();
  expect(statSync(path()).size).toBeLessThanOrEqual(mostBytes);
  expect(open().read()).toEqual([last]);
  expect(first).not.toEqual(last);
  expect(told).toEqual([`1 jobs have no room in ${path()}`]);
});

test("an odd job is left out and told by itself", () => {
  const good = { name: "a.d.a.d", instances: [7, null, {}] };
  const odd = [7, null, { name: "../x", instances: [] }, { name: "b.d.b.d", instances: "all" }];
  writeFileSync(path(), JSON.stringify({ version: 1, ...OWNER, jobs: [odd[0], good, ...odd.slice(1)] }));
  expect(open().read()).toEqual([good]);
  expect(told).toHaveLength(4);
  expect(told[2]).toContain("job 3: name: expected the name of a job");
});

test.each([
  ["no JSON", () => writeFileSync(path(), "{"), /is left alone/],
  [
    "another version",
    () => writeFileSync(path(), JSON.stringify({ version: 2, ...OWNER, jobs })),
    /expected version 1/,
  ],
  ["no list", () => writeFileSync(path(), JSON.stringify({ version: 1, ...OWNER, jobs: {} })), /jobs: /],
  ["null", () => writeFileSync(path(), "null"), /is left alone/],
  ["a deep nest", () => writeFileSync(path(), "[".repeat(1e5) + "]".repeat(1e5)), /is left alone/],
  ["too large", () => writeFileSync(path(), Buffer.alloc(9 * 2 ** 20)), /must have at most/],
  ["a link", () => symlinkSync("/etc/passwd", path()), /found a link/],
])("a file that is %s is told, and nothing of it is used", (_what, make, why) => {
  make();
  expect(open().read()).toEqual([]);
  expect(told).toEqual([expect.stringMatching(why)]);
  rmSync(path());
  save();
  expect(open().read()).toEqual(jobs);
});

test("a write that fails is told once", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const file = open({ folder: join(folder, "later") });
  for (let i = 0; i < 3; i++) {
    file.onChange();
    vi.advanceTimersByTime(2000);
  }
  expect(told).toEqual([expect.stringMatching(/jobs\.json cannot be written for the next start: ENOENT$/)]);
});
