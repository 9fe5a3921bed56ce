// Modules that take their process along: the limits would refuse them, so they are handed to the trial without.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EXAMPLE_SETS } from "../../../src/control/candidate-sets.ts";
import { tryPolicy } from "../../../src/dataplane/module-trial.ts";
import { builtModulePath } from "../../../src/dataplane/wasm.ts";
import { assembleAny, policyText } from "../../support/wat.ts";

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

test("bytes that V8 does not take are refused by its sentence", async () => {
  const bytes = Uint8Array.from(readFileSync(builtModulePath("policies/random")));
  bytes.fill(0x7b, bytes.length - 40); // a type in the place of instructions
  await expect(tryPolicy(bytes, PLAN)).rejects.toMatchObject({
    code: "module-refused",
    message: expect.stringMatching(/^The policy module hungry is no valid WebAssembly: .*WebAssembly\.Module\(\)/),
  });
});
