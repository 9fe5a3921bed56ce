// A process that is started without a copy of this one's page tables.
import { readdirSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { LeanProcess } from "../../../src/sys/lean-process.ts";

/** Gives its input back, and each message twice. */
const ECHO = `
  const fs = require("node:fs");
  fs.writeSync(1, fs.readFileSync(0));
  const part = Buffer.alloc(65536);
  for (let size = fs.readSync(3, part); size > 0; size = fs.readSync(3, part)) {
    const message = part.subarray(0, size);
    fs.writeSync(3, Buffer.concat([message, message.subarray(0, 7)]));
    fs.writeSync(3, message.subarray(7));
    if (size > 1000) process.exit();
  }`;

function children(): string[] {
  const threads = readdirSync("/proc/self/task");
  return threads.flatMap((thread) => readFileSync(`/proc/self/task/${thread}/children`, "utf8").split(" "));
}

test("it has its input, and messages come as they were sent, in parts or several at once", async () => {
  const messages: unknown[] = [];
  const child = LeanProcess.start(["-e", ECHO], (message) => messages.push(message));
  child.input.end("text");
  const value = { name: "ü", bytes: Uint8Array.of(1, 2) };
  child.send(value);
  await expect.poll(() => messages.length, { timeout: 60_000 }).toBe(2);
  child.send("long ".repeat(1000));
  expect(await text(child.output)).toBe("text");
  await child.ended;
  expect(messages).toEqual([value, value, "long ".repeat(1000), "long ".repeat(1000)]);
});

test("one that is killed is gone, and leaves nothing behind", async () => {
  const before = children();
  const child = LeanProcess.start(["-e", ECHO], () => undefined);
  child.output.resume();
  const started = children().filter((pid) => !before.includes(pid));
  expect(started).toHaveLength(1);
  child.kill();
  await child.ended;
  expect(children()).not.toContain(started[0]);
  child.kill();
});
