// Whatever a user names: a file is read, everything else is refused at once by a sentence.

import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readRegularFile, readTextFile, readTextOnce, TEXT_BYTES_MAX } from "../../../src/sys/user-file.ts";

let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-user-file-"));
  writeFileSync(at("good"), "text: ü");
  symlinkSync(at("good"), at("link"));
  symlinkSync(at("circle"), at("circle"));
  execFileSync("mkfifo", [at("pipe")]);
  writeFileSync(at("bytes"), Buffer.of(0x61, 0xff, 0x62));
  writeFileSync(at("large"), "");
  truncateSync(at("large"), TEXT_BYTES_MAX + 1);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

test.each(["good", "link"])("%s is read", (name) => {
  expect(readTextFile(at(name))).toBe("text: ü");
  expect(readTextOnce(at(name))).toBe("text: ü");
});

test("a file of the kernel that says no size is read", () => {
  expect(readTextFile("/proc/self/comm").length).toBeGreaterThan(0);
});

test.each([
  ["pipe", "expected a file, found a named pipe"],
  [".", "expected a file, found a folder"],
  ["none", "there is no such file (ENOENT)"],
  ["good/none", "a part of its path is no folder (ENOTDIR)"],
  ["circle", "its links lead to each other (ELOOP)"],
  ["x".repeat(300), "its name is too long (ENAMETOOLONG)"],
  ["bytes", "expected text in UTF-8, found other bytes"],
  ["large", `expected at most ${TEXT_BYTES_MAX} bytes, found ${TEXT_BYTES_MAX + 1}`],
])("%s is refused", (name, reason) => {
  for (const read of [readTextFile, readTextOnce]) {
    expect(() => read(at(name))).toThrow(`${at(name)} cannot be read: ${reason}.`);
  }
});

test.each(["/dev/zero", "/dev/null", "/dev/tty"])("%s is refused", (path) => {
  expect(() => readTextFile(path)).toThrow(`${path} cannot be read: expected a file, found a device.`);
});

test("a socket is refused", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(at("socket"), resolve));
  try {
    expect(() => readTextFile(at("socket"))).toThrow("expected a file, found a socket");
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test.skipIf(process.geteuid?.() === 0)("a file of somebody else is refused", () => {
  writeFileSync(at("closed"), "");
  chmodSync(at("closed"), 0);
  expect(() => readTextFile(at("closed"))).toThrow("this user may not read it (EACCES)");
});

test("no more is read than is allowed", () => {
  expect(() => readRegularFile(at("good"), 7)).toThrow("expected at most 7 bytes, found 8");
});
