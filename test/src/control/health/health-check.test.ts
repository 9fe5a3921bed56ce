// One check of an instance, against real sockets on loopback.
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { checkHttp, checkIcmp, checkTcp } from "../../../../src/control/health/health-check.ts";

const SETTINGS = { interval: 5000, timeout: 5000, healthy: 1, unhealthy: 1 };
const opened: Server[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(opened.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

async function portOf(server: Server | HttpServer, address = "127.0.0.1"): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  opened.push(server);
  server.on("connection", (socket: Socket) => sockets.push(socket));
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens to. */
async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await portOf(server);
  opened.pop();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("a port that takes connections passes, over IPv4 and IPv6", async () => {
  expect(await checkTcp("127.0.0.1", await portOf(createServer()), 5000)).toBeUndefined();
  expect(await checkTcp("::1", await portOf(createServer(), "::1"), 5000)).toBeUndefined();
});

test("a port that nobody listens to is named", async () => {
  const port = await closedPort();
  expect(await checkTcp("127.0.0.1", port, 5000)).toBe(`refused the connection (TCP port ${port})`);
  const http = { ...SETTINGS, http: "/ready", port };
  expect(await checkHttp("127.0.0.1", http)).toBe(`refused the connection (GET /ready on port ${port})`);
});

test.each([
  [200, undefined],
  [204, undefined],
  [302, undefined],
  [404, "answered GET /ready?deep=1 on port PORT with status 404"],
  [503, "answered GET /ready?deep=1 on port PORT with status 503"],
])("a status of %i is %s", async (status, expected) => {
  const asked: string[] = [];
  const server = createHttpServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.host}`);
    response.writeHead(status, { location: "/elsewhere" }).end("body");
  });
  const port = await portOf(server);
  const result = await checkHttp("127.0.0.1", { ...SETTINGS, http: "/ready?deep=1", port });
  expect(result?.replace(String(port), "PORT")).toBe(expected);
  expect(asked).toEqual([`GET /ready?deep=1 127.0.0.1:${port}`]);
});

test("who accepts and never answers HTTP fails when the time is over", async () => {
  const port = await portOf(createServer((socket) => socket.on("error", () => undefined)));
  const result = await checkHttp("127.0.0.1", { ...SETTINGS, http: "/", port, timeout: 50 });
  expect(result).toBe(`did not answer GET / on port ${port} within 50ms`);
});

test.each([
  ["a header without end", () => `HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}`],
  ["no HTTP", () => "SSH-2.0-OpenSSH_9.9\r\n"],
])("%s is not passed, and ends the check", async (_what, greeting) => {
  const server = createServer((socket) => socket.on("error", () => undefined).write(greeting()));
  const port = await portOf(server);
  const result = await checkHttp("127.0.0.1", { ...SETTINGS, http: "/", port });
  expect(result).toMatch(/^failed GET \/ on port/);
});

test("a body that never ends is not waited for", async () => {
  const ended: Promise<void>[] = [];
  const server = createHttpServer((_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write("more"), 1);
    ended.push(new Promise((resolve) => response.once("close", () => resolve(clearInterval(timer)))));
  });
  const port = await portOf(server);
  expect(await checkHttp("127.0.0.1", { ...SETTINGS, http: "/", port })).toBeUndefined();
  await Promise.all(ended); // the check closed its connection
  expect(ended).toHaveLength(1);
});

test("an address of this machine answers an echo request, over IPv4 and IPv6", async () => {
  expect(await checkIcmp("127.0.0.1", 10_000)).toBeUndefined();
  expect(await checkIcmp("::1", 10_000)).toBeUndefined();
});
