// A thread's nice value, in a program of its own: it must not stay with a thread of the tests.

import { execFileSync } from "node:child_process";
import { getPriority } from "node:os";
import { expect, test } from "vitest";
import { builtFile } from "../../../src/lab/build-paths.ts";

/** Prints whether it worked, and the nice value of each thread, the calling one first. */
const PROGRAM = `
  import { readdirSync, readFileSync } from "node:fs";
  const { setThreadNice } = await import(process.argv[1]);
  const isSet = setThreadNice(Number(process.argv[2]));
  const niceOf = (thread) => Number(readFileSync("/proc/self/task/" + thread + "/stat", "utf8").split(") ")[1].split(" ")[16]);
  const threads = readdirSync("/proc/self/task").map(Number).sort((a, b) => a - b);
  console.log(JSON.stringify([isSet, ...threads.map(niceOf)]));
`;

function setInProgram(nice: number): unknown[] {
  const args = ["--input-type=module", "--eval", PROGRAM, builtFile("src/sys/priority.js"), String(nice)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

test("the calling thread gets the value, and no other does", () => {
  const inherited = getPriority(); // the tests themselves may have been started with less than the usual priority
  const wanted = Math.min(inherited + 7, 19);
  const [isSet, own, ...others] = setInProgram(wanted);
  expect([isSet, own]).toEqual([true, wanted]);
  expect(new Set(others)).toEqual(new Set([inherited]));
});
