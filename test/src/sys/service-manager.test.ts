// What the service manager hears, through a real socket.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ServiceManager } from "../../../src/sys/service-manager.ts";

let folder: string;
let socket: string;
let heard: string;
let listener: ChildProcess;

async function listen(address: string): Promise<void> {
  listener = spawn("socat", ["-u", address, "STDOUT"], { stdio: ["ignore", "pipe", "inherit"] });
  listener.stdout?.setEncoding("utf8").on("data", (text: string) => {
    heard += text;
  });
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-notify-"));
  socket = join(folder, "notify.sock");
  heard = "";
});

afterEach(() => {
  listener?.kill();
  rmSync(folder, { recursive: true });
});

test("readiness in one line of status, then the watchdog, then the end", async () => {
  await listen(`UNIX-RECV:${socket}`);
  await expect.poll(() => existsSync(socket), { timeout: 30_000 }).toBe(true);
  const manager = new ServiceManager({ NOTIFY_SOCKET: socket, WATCHDOG_USEC: "30000", WATCHDOG_PID: `${process.pid}` });
  manager.ready("node\na");
  await expect.poll(() => heard.split("WATCHDOG=1\n").length, { timeout: 30_000 }).toBeGreaterThan(3);
  expect(heard).toMatch(/^READY=1\nSTATUS=node a\nWATCHDOG=1\n/);
  manager.stopping();
  await expect.poll(() => heard, { timeout: 30_000 }).toContain("STOPPING=1\n");
});

test("a socket whose name is in no folder", async () => {
  const name = `sapwood-${process.pid}-${Math.random()}`;
  await listen(`ABSTRACT-RECV:${name}`);
  await expect
    .poll(
      () => {
        new ServiceManager({ NOTIFY_SOCKET: `@${name}` }).ready("x");
        return heard;
      },
      { timeout: 30_000 },
    )
    .toContain("READY=1\n");
});

test.each([
  ["no socket", {}],
  ["a socket that is not there", { NOTIFY_SOCKET: "/nowhere/at/all" }],
  ["a name that is none", { NOTIFY_SOCKET: "vsock:2:1234" }],
  ["a name that is too long", { NOTIFY_SOCKET: `/${"x".repeat(200)}` }],
])("with %s nothing happens", (_, env) => {
  const manager = new ServiceManager(env);
  manager.ready("x");
  manager.stopping();
});
