// The file of policies while the daemon runs.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Logger } from "../../../../../src/base/log.ts";
import { FollowedPolicies } from "../../../../../src/control/providers/oakestra/followed-policies.ts";

const PATIENCE = { timeout: 30_000 };
const JOB = "x.d.x1.d";

let folder: string;
let log: string[];
let policies: FollowedPolicies | undefined;
let failure: Error | undefined;
let bound: (string | undefined)[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-policies-"));
  log = [];
  bound = [];
  failure = undefined;
});
afterEach(async () => {
  await policies?.close();
  policies = undefined;
  rmSync(folder, { recursive: true });
});

function path(): string {
  return join(folder, "policies.yaml");
}

function save(text: string): void {
  writeFileSync(`${path()}.new`, text);
  renameSync(`${path()}.new`, path());
}

async function follow(): Promise<FollowedPolicies> {
  const tell = (...words: unknown[]) => void log.push(String(words.at(-1)));
  const opened = await FollowedPolicies.open(path(), { info: tell, warn: tell, error: tell } as unknown as Logger);
  policies = opened;
  opened.follow(async () => {
    if (failure !== undefined) throw failure;
    bound.push(opened.policyOf(JOB, "10.30.0.1"));
  });
  return opened;
}

test("a file that comes, changes and goes is in force without a restart", async () => {
  const { policyOf } = await follow();
  expect(policyOf(JOB, "10.30.0.1")).toBeUndefined();
  save(`services: { ${JOB}: closest }`);
  await expect.poll(() => bound, PATIENCE).toEqual(["closest"]);
  save(`services: { ${JOB}: weighted }`);
  await expect.poll(() => bound, PATIENCE).toEqual(["closest", "weighted"]);
  rmSync(path());
  await expect.poll(() => bound, PATIENCE).toEqual(["closest", "weighted", undefined]);
  expect(new Set(log)).toEqual(new Set(["policies applied"]));
});

test.each([
  ["no YAML", "services: [", /^the policies stay as they were: .*policies\.yaml: expected YAML or JSON/],
  ["a field that is none", "bindings: {}", /policies\.yaml: .*bindings/],
  ["a name that is none", "services: { x: closest }", /services\.x: expected a service's full name/],
])("a file with a mistake leaves what is in force: %s", async (_what, text, why) => {
  save(`services: { ${JOB}: closest }`);
  const { policyOf } = await follow();
  save(text);
  await expect.poll(() => log, PATIENCE).toEqual([expect.stringMatching(why)]);
  expect([policyOf(JOB, "10.30.0.1"), bound]).toEqual(["closest", []]);
});

test("bindings that cannot be in force leave those that are", async () => {
  save(`services: { ${JOB}: closest }`);
  const { policyOf } = await follow();
  failure = new Error("no room");
  save(`services: { ${JOB}: weighted }`);
  await expect.poll(() => log, PATIENCE).toEqual(["the policies stay as they were: no room"]);
  expect(policyOf(JOB, "10.30.0.1")).toBe("closest");
});

test("a word reads it again, and what takes a restart is told", async () => {
  const opened = await follow();
  save(`services: { ${JOB}: closest }\nprobe: 10s\nmodules: { mine: /etc/mine.wasm }`);
  await opened.reload();
  expect(bound.at(-1)).toBe("closest");
  expect(log[0]).toMatch(/policies\.yaml: a change of modules and probe takes effect at the next start$/);
  expect(opened.started).toMatchObject({ modules: {}, probe: undefined });
});
