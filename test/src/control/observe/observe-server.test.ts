// The observation listener over real TCP, with a proxy made of constants behind it.

import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { Admission, readToken } from "../../../../src/control/observe/admission.ts";
import { ObserveServer } from "../../../../src/control/observe/observe-server.ts";
import { Page, type PagePath } from "../../../../src/control/observe/pages.ts";
import { freePort } from "../../../support/free-port.ts";

const TOKEN = "0123456789abcdefghij";
/** More than the kernel takes for a client that does not read. */
const LARGE = "x".repeat(8 * 2 ** 20);

let server: ObserveServer | undefined;
let port: number;
let failures: unknown[];
let failing: Error | undefined;

beforeEach(async () => {
  port = await freePort();
  failures = [];
  failing = undefined;
});

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function open(
  hosts: readonly string[] = [],
  token?: string,
  body = "body\n",
  patience = { requestMs: 5000, answerMs: 10_000 },
): Promise<void> {
  server = await ObserveServer.open({
    listen: { address: "127.0.0.1", port },
    admission: new Admission(hosts, token),
    pages: {
      page: async (path: PagePath) => {
        if (failing !== undefined) throw failing;
        return new Page(path === "/readyz" ? 503 : 200, "text/plain", path === "/healthz" ? "well\n" : body);
      },
    },
    onFailure: (error) => failures.push(error),
    patience,
  });
}

async function ask(path: string, headers: Record<string, string> = {}, method = "GET", agent: Agent | false = false) {
  return await new Promise<{ status: number; body: string; headers: Record<string, unknown> }>((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path, method, headers, agent }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

describe("the observation listener", () => {
  test("answers its pages, and says that there are no others", async () => {
    await open();
    expect(await ask("/metrics")).toMatchObject({ status: 200, body: "body\n" });
    expect(await ask("/readyz")).toMatchObject({ status: 503 });
    expect(await ask("/healthz?verbose")).toMatchObject({ status: 200 });
    expect(await ask("/v1/status")).toMatchObject({ status: 404, body: "There are /metrics, /healthz, /readyz.\n" });
  });

  test.each(["POST", "PUT", "DELETE", "OPTIONS"])("takes no %s", async (method) => {
    await open();
    expect(await ask("/metrics", {}, method)).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
  });

  test("answers HEAD without a body", async () => {
    await open();
    expect(await ask("/metrics", {}, "HEAD")).toMatchObject({ status: 200, body: "" });
  });

  test("hides what went wrong inside, and tells it to the log", async () => {
    await open();
    failing = new Error("a secret");
    const { status, body } = await ask("/metrics");
    expect(status).toBe(500);
    expect(body).not.toContain("secret");
    expect(failures).toEqual([failing]);
  });

  test.each([
    ["rebound.example", 421],
    ["rebound.example:9150", 421],
    ["127.0.0.1.rebound.example", 421],
    ["localhost.rebound.example", 421],
    ["user@127.0.0.1", 421],
    ["[::1", 421],
    ["127.0.0.1", 200],
    ["127.0.0.1:1", 200],
    ["[::1]:9150", 200],
    ["LOCALHOST:9150", 200],
    ["node-a.example:9150", 200],
  ])("a request to the host %s gets %i", async (host, status) => {
    await open(["Node-A.example"]);
    expect(await ask("/metrics", { host })).toMatchObject({ status });
  });

  test.each([
    ["none", {}, 401],
    ["another one", { authorization: `Bearer ${TOKEN}x` }, 401],
    ["a part of it", { authorization: `Bearer ${TOKEN.slice(1)}` }, 401],
    ["an empty one", { authorization: "Bearer " }, 401],
    ["it by another scheme", { authorization: `Basic ${TOKEN}` }, 401],
    ["it", { authorization: `Bearer ${TOKEN}` }, 200],
  ])("with a token configured, a client that has %s is answered so", async (_what, headers, status) => {
    await open([], TOKEN);
    const answer = await ask("/metrics", headers);
    expect(answer.status).toBe(status);
    if (status === 401) expect(answer.headers["www-authenticate"]).toBe("Bearer");
  });

  test("a page of others that asks is refused", async () => {
    await open();
    expect(await ask("/metrics", { origin: "http://elsewhere.example" })).toMatchObject({ status: 403 });
  });

  test("three hundred clients, of whom none says or reads anything, keep nobody away for long", async () => {
    await open([], undefined, LARGE, { requestMs: 300, answerMs: 300 });
    const clients = Array.from({ length: 300 }, (_, i) => silentClient(i % 2 === 0));
    await Promise.all(clients.map(({ connected }) => connected));
    // Those beyond the limit are cut off at once, the others after their time.
    await Promise.all(clients.map(({ ended }) => ended));
    expect(await ask("/healthz")).toMatchObject({ status: 200 });
    expect(failures).toEqual([]);
  });

  test("keeps no connection for a client that sends empty lines after its answer", async () => {
    await open([], undefined, "short\n", { requestMs: 300, answerMs: 300 });
    await silentClient(true, "\r\n").ended;
    expect(await ask("/healthz")).toMatchObject({ status: 200 });
  });

  test("makes one answer at a time for a connection, however many requests come at once", async () => {
    await open();
    const pipelined = async (count: number): Promise<string> => {
      const socket = connect({ host: "127.0.0.1", port });
      let text = "";
      socket.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      socket.on("error", () => undefined); // it is ended
      socket.write(`GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`.repeat(count));
      await new Promise((resolve) => socket.on("close", resolve));
      return text;
    };
    const two = await pipelined(2);
    expect(two).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*HTTP\/1.1 503 [\s\S]*one request at a time/);
    expect(await pipelined(1000)).toBe("");
    // One after the other, on one connection, is another matter.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    for (let i = 0; i < 20; i++) expect(await ask("/metrics", {}, "GET", agent)).toMatchObject({ status: 200 });
  });

  test("says who has its port", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
    await expect(open()).rejects.toThrow(
      /TCP port \d+ of 127\.0\.0\.1 \(observe\.listen\), which failed with EADDRINUSE/,
    );
    await new Promise((resolve) => other.close(resolve));
  });
});

describe("a token's file", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "sapwood-token-"));
    file = join(folder, "token");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("is one line", () => {
    writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });
    expect(readToken(file)).toBe(TOKEN);
  });

  test.each([
    ["is open to others", TOKEN, 0o640, /mode 0600\); found mode 0640/],
    ["is short", "secret", 0o600, /16 or more printable characters/],
    ["has several words", `${TOKEN} ${TOKEN}`, 0o600, /16 or more printable characters/],
    ["is empty", "", 0o600, /16 or more printable characters/],
    ["is endless", "x".repeat(5000), 0o600, /at most 4096 bytes/],
  ])("is refused when it %s", (_what, content, mode, message) => {
    writeFileSync(file, content);
    chmodSync(file, mode);
    expect(() => readToken(file)).toThrow(message);
  });

  test("is refused when it is missing or a link", () => {
    expect(() => readToken(file)).toThrow(/observe\.token\) cannot be used: there is no such file/);
    symlinkSync("/dev/zero", file);
    expect(() => readToken(file)).toThrow(/must be a file; found a link/);
  });
});

/** Connects and says nothing, or asks for a page and does not read it. */
function silentClient(
  isAsking: boolean,
  filler = " ",
): { connected: Promise<void>; ended: Promise<void>; socket: Socket } {
  const socket = connect({ host: "127.0.0.1", port });
  socket.pause();
  socket.on("error", () => undefined);
  const connected = new Promise<void>((resolve) => {
    socket.once("connect", () => {
      if (isAsking) socket.write("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
      resolve();
    });
    socket.once("close", () => resolve());
  });
  const ended = new Promise<void>((resolve) => {
    socket.once("close", () => resolve());
    // A socket that does not read sees the end only by writing.
    const timer = setInterval(() => socket.write(filler), 50);
    socket.once("close", () => clearInterval(timer));
  });
  return { connected, ended, socket };
}
