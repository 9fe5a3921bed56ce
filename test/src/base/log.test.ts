// A log whose place is full must not end who writes it: a process of its own logs to the device that has no room.
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { expect, test } from "vitest";

test("lines that cannot be written are counted, and the process goes on", () => {
  const log = new URL("../../../dist/src/base/log.js", import.meta.url).href;
  const program = [
    `import { createLogger, lostLogLines } from ${JSON.stringify(log)};`,
    'const log = createLogger("info");',
    'for (let i = 0; i < 3; i++) log.info("a line");',
    "setTimeout(() => console.log(lostLogLines()), 10);",
  ].join("\n");
  const full = openSync("/dev/full", "w");
  try {
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", full],
      encoding: "utf8",
    });
    expect({ status: run.status, lost: run.stdout.trim() }).toEqual({ status: 0, lost: "3" });
  } finally {
    closeSync(full);
  }
});

test("a line of JSON has no character that a terminal obeys, and means the same", () => {
  const evil = "a\u001b[2J\u009b31m\u202eb\r\n\u007f";
  const log = new URL("../../../dist/src/base/log.js", import.meta.url).href;
  const program = `import { createLogger } from ${JSON.stringify(log)}; createLogger("info").info(${JSON.stringify(evil)});`;
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  expect(stderr.trimEnd()).not.toMatch(/[\p{Cc}\u202e]/u);
  expect(JSON.parse(stderr).msg).toBe(evil);
});
