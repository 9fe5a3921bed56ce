// What a proxy does with signals that come while its program is still being loaded.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

const MODULE = new URL("../../../dist/src/base/early-signals.js", import.meta.url).href;

test.each([
  ["SIGHUP does not end it before it can read its files again", "SIGHUP", "run", 1],
  ["SIGHUP does not end it before it can read its files again", "SIGHUP", "netmanager", 1],
  ["SIGHUP ends it", "SIGHUP", "status", 0],
  ["SIGUSR1 does not open the debugger of Node.js", "SIGUSR1", "run", 1],
  ["SIGUSR1 does not open the debugger of Node.js", "SIGUSR1", "netmanager", 1],
])("%s (%s at `sapwood %s`: %i listener)", (_, signal, command, count) => {
  const source = `await import("${MODULE}"); process.stdout.write(String(process.listenerCount("${signal}")))`;
  const argv = ["--input-type=module", "-e", source, "main.js", command];
  expect(spawnSync(process.execPath, argv, { encoding: "utf8" }).stdout).toBe(String(count));
});
