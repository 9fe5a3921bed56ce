// Clients of a process that has no descriptor left: its table is full, or its limit is below all that it has.
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type RequestOptions, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const PROGRAM = fileURLToPath(new URL("./in-process/descriptor-reserve.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "sapwood-reserve-"));
const ended = new AbortController();
let server: ChildProcess;
let listeners: readonly RequestOptions[];

beforeAll(async () => {
  const socketPath = join(folder, "http.sock");
  server = fork(PROGRAM, [socketPath]);
  server.once("exit", () => ended.abort(new Error("the process ended")));
  const [{ port }] = (await once(server, "message")) as [{ port: number }];
  listeners = [{ socketPath }, { port, host: "127.0.0.1" }];
});

afterAll(async () => {
  if (server.exitCode === null && server.kill("SIGKILL")) await once(server, "exit");
  rmSync(folder, { recursive: true });
});

test("answers with what it held when its table is full, and refuses when its limit is below all that it has", async () => {
  limitTo(256);
  expect(await order("fill the table")).toBe("EMFILE");
  expect(await order("load")).toBe("EMFILE");
  expect(await order("give up")).toBe(true);
  expect(await order("load")).toBe("nothing");
  for (const listener of listeners) expect(await asked(listener)).toBe("answered");

  limitTo(1);
  expect(await order("fill")).toBe("EMFILE");
  expect(await order("give up")).toBe(false);
  expect(await order("refuse")).toBe(0);
  for (const listener of listeners) {
    const answer = asked(listener);
    while ((await order("refuse")) === 0);
    expect(await answer).toBe("full");
  }
});

function limitTo(descriptors: number): void {
  execFileSync("prlimit", ["--pid", String(server.pid), `--nofile=${descriptors}:`]);
}

async function order(what: string): Promise<unknown> {
  server.send(what);
  const [answer] = (await once(server, "message", { signal: ended.signal })) as [Record<string, unknown>];
  return answer[what];
}

function asked(listener: RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...listener, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => resolve(Buffer.concat(parts).toString()));
    });
    asking.on("error", reject).end();
  });
}
