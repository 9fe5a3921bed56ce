// What a proxy does with signals that come while its program is still being loaded.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

const MODULE = new URL("../../../dist/src/base/early-signals.js", import.meta.url).href;

test.each([
  ["run", 1],
  ["netmanager", 1],
  ["status", 0],
])("SIGHUP does not end `sapwood %s` before it can read its files again: %i listener", (command, count) => {
  const source = `await import("${MODULE}"); process.stdout.write(String(process.listenerCount("SIGHUP")))`;
  const argv = ["--input-type=module", "-e", source, "main.js", command];
  expect(spawnSync(process.execPath, argv, { encoding: "utf8" }).stdout).toBe(String(count));
});
