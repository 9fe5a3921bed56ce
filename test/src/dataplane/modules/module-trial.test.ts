// Modules that take their process along: the limits would refuse them, so they are handed to the trial without.
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EXAMPLE_SETS } from "../../../../src/control/modules/candidate-sets.ts";
import { endTrials, tryEngine, tryPolicy } from "../../../../src/dataplane/modules/module-trial.ts";
import { builtModulePath } from "../../../../src/dataplane/modules/wasm.ts";
import { assembleAny, policyText } from "../../../support/wat.ts";

const PLAN = { name: "hungry", sets: EXAMPLE_SETS, flows: 100, timeLimitMs: 5000, isTimed: false };

test("a module that takes all memory costs the process of its trial, and this one nothing", async () => {
  const tables = Array.from({ length: 90 }, () => "(table 10000000 10000000 funcref)").join("\n");
  const before = process.memoryUsage().rss;
  await expect(tryPolicy(assembleAny(policyText({}, tables)), PLAN)).rejects.toMatchObject({
    code: "module-refused",
    message: expect.stringMatching(/^The policy module hungry ended the process in which it was tried \(by \w+\)/),
  });
  expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
});

test("after it others are tried as before, several at a time", async () => {
  const bytes = readFileSync(builtModulePath("policies/round-robin"));
  const reports = await Promise.all(Array.from({ length: 6 }, () => tryPolicy(bytes, PLAN)));
  expect(reports.flatMap(({ violations }) => violations)).toEqual([]);
});

test("what a process keeps of earlier modules is not charged to a later one", async () => {
  const engine = readFileSync(builtModulePath("engine"));
  const sizes: number[] = [];
  endTrials();
  for (let i = 0; i < 4; i++) {
    await tryEngine({ bytes: engine, inForce: engine });
    sizes.push(...trialProcesses().map((pid) => privateBytes(pid)));
  }
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThan(100e6);
});

test("the death of a process that tried others before is not the module's: a new process judges it", async () => {
  const bytes = readFileSync(builtModulePath("policies/round-robin"));
  endTrials();
  await tryPolicy(bytes, PLAN);
  const [used] = trialProcesses();
  if (used === undefined) throw new Error("The first trial left no process.");
  const report = tryPolicy(bytes, PLAN);
  process.kill(used, "SIGABRT");
  expect((await report).violations).toEqual([]);
  expect(trialProcesses()).not.toContain(used);
});

test("bytes that V8 does not take are refused by its sentence", async () => {
  const bytes = Uint8Array.from(readFileSync(builtModulePath("policies/random")));
  bytes.fill(0x7b, bytes.length - 40); // a type in the place of instructions
  await expect(tryPolicy(bytes, PLAN)).rejects.toMatchObject({
    code: "module-refused",
    message: expect.stringMatching(/^The policy module hungry is no valid WebAssembly: .*WebAssembly\.Module\(\)/),
  });
});

/** Those of this process that are alive. */
function trialProcesses(): number[] {
  return readdirSync("/proc/self/task")
    .flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, "utf8").trim().split(" "))
    .filter((pid) => pid !== "" && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("trial-process"))
    .map(Number);
}

/** What the limit of a trial's memory counts: VmData of proc_pid_status(5). */
function privateBytes(pid: number): number {
  const [, kib] = /^VmData:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * 1024;
}
