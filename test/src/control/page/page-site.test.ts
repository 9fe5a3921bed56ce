// The live page over real TCP: who gets what, and what many and slow clients cost.

import { type IncomingMessage, request } from "node:http";
import { PassThrough } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { orderListener } from "../../../../src/control/api/api.ts";
import { Admission } from "../../../../src/control/observe/admission.ts";
import { ObserveServer } from "../../../../src/control/observe/observe-server.ts";
import { Page } from "../../../../src/control/observe/pages.ts";
import { PageSite } from "../../../../src/control/page/page-site.ts";
import { PageStream } from "../../../../src/control/page/page-stream.ts";
import type { PageOverview, PageViewReport } from "../../../../src/model/page-reports.ts";
import { eventParser, type StreamEvent } from "../../../../src/page/event-parser.ts";
import { FakeSource } from "../../../support/control-source.ts";
import { freePort } from "../../../support/free-port.ts";
import { PageWorld, pageService } from "../../../support/page-world.ts";

const TOKEN = "0123456789abcdefghij";
const BEARER = { authorization: `Bearer ${TOKEN}` };

let server: ObserveServer | undefined;
let port = 0;
let world: PageWorld;
let orders: FakeSource;
let failures: unknown[] = [];
const opened: IncomingMessage[] = [];

afterEach(async () => {
  for (const response of opened.splice(0)) response.destroy();
  await server?.close();
  server = undefined;
});

async function open(token?: string): Promise<void> {
  world = await PageWorld.open([pageService("b", 1)]);
  orders = new FakeSource();
  failures = [];
  port = await freePort();
  const onFailure = (error: unknown): void => void failures.push(error);
  const listener = token === undefined ? undefined : orderListener(orders.parts, onFailure);
  server = await ObserveServer.open({
    listen: { address: "127.0.0.1", port },
    admission: new Admission([], token),
    pages: { page: async () => new Page(200, "text/plain", "body\n") },
    site: new PageSite({ source: world.source, orders: listener, onFailure }),
    onFailure,
    patience: { requestMs: 30_000, answerMs: 1000 },
  });
}

async function send(path: string, headers: Record<string, string> = {}, method = "GET", body = "") {
  return await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      opened.push(response);
      response.on("error", () => undefined);
      resolve(response);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

async function ask(...args: Parameters<typeof send>) {
  const response = await send(...args);
  let body = "";
  for await (const part of response.setEncoding("utf8")) body += part;
  return { status: response.statusCode, body, headers: response.headers };
}

/** Events as they come. */
async function follow(query = "", headers: Record<string, string> = {}): Promise<StreamEvent[]> {
  const response = await send(`/page/stream${query}`, headers);
  expect(response.statusCode).toBe(200);
  expect(response.headers["content-type"]).toBe("text/event-stream");
  const parse = eventParser();
  const events: StreamEvent[] = [];
  response.setEncoding("utf8").on("data", (part: string) => events.push(...parse(part)));
  return events;
}

/** How often the reports are read in a time. */
async function readsIn(ms: number): Promise<number> {
  const before = world.reads;
  await new Promise((resolve) => setTimeout(resolve, ms));
  return world.reads - before;
}

function last<Report>(events: readonly StreamEvent[], name: string): Report {
  const found = events.findLast((event) => event.name === name);
  return JSON.parse(found?.data ?? "null") as Report;
}

test("a browser gets the page, and may run and load nothing but what is here", async () => {
  await open();
  const { status, body, headers } = await ask("/");
  expect(status).toBe(200);
  expect(body).toContain('<script type="module" src="/page/app.js">');
  expect(body).not.toMatch(/<style|style=|<script>|onload=|https?:/);
  const policy = String(headers["content-security-policy"]);
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
    expect(policy).toContain(part);
  }
  expect(policy).not.toContain("unsafe");
  expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
  expect((await ask("/page/app.js")).headers["content-type"]).toMatch(/^text\/javascript/);
  expect((await ask("/page/licenses.txt")).body).toMatch(/^preact \d[\s\S]*^uplot \d/m);
  expect((await ask("/page/../../package.json")).status).toBe(404);
});

test("the stream tells the headline, the samples and what is looked at, and goes on", async () => {
  await open();
  world.addFlow("b", 0, "10.30.0.1");
  const events = await follow("?view=services&filter=b");
  await expect.poll(() => last<PageViewReport>(events, "view")).toMatchObject({ view: "services", matching: 1 });
  await expect.poll(() => last<PageViewReport>(events, "view")).toMatchObject({ rows: [{ name: "b", flows: 1 }] });
  expect(last<PageOverview>(events, "overview")).toMatchObject({
    node: "node-a",
    headline: { mood: "well" },
    takesOrders: false,
  });
  world.nodes = world.nodes.map((node) => (node.id === "node-b" ? { ...node, state: "lost" } : node));
  await expect.poll(() => last<PageOverview>(events, "overview").headline.mood).toBe("warning");
  const others = await follow(`?view=nodes&since=${last<PageOverview>(events, "overview").sample.at}`);
  await expect.poll(() => others.length).toBeGreaterThan(2);
  expect(last<readonly unknown[]>(others, "history").length).toBeLessThan(2);
});

test.each([
  ["?view=secrets", /"view" must be one of overview, services/],
  ["?offset=-1", /"offset" must be a whole number/],
  [`?filter=${"x".repeat(201)}`, /"filter" must be at most 200 characters/],
  ["?token=abc", /takes view, filter, offset, order, since; found "token"/],
])("the stream refuses %s", async (query, message) => {
  await open();
  expect(await ask(`/page/stream${query}`)).toMatchObject({ status: 400, body: expect.stringMatching(message) });
});

test("with a token, the page's files are everybody's, and what it tells is not", async () => {
  await open(TOKEN);
  expect((await ask("/")).status).toBe(200);
  for (const authorization of ["", "Bearer wrong-wrong-wrong-wrong"]) {
    const headers = { authorization };
    expect(await ask("/page/stream", headers)).toMatchObject({
      status: 401,
      headers: { "www-authenticate": "Bearer" },
    });
    expect((await ask("/v1/policies/closest/rollback", headers, "POST")).status).toBe(401);
  }
  expect((await ask(`/page/stream?token=${TOKEN}`)).status).toBe(401);
  expect(orders.modules).toEqual([]);
  const events = await follow("", BEARER);
  await expect.poll(() => last<PageOverview>(events, "overview")).toMatchObject({ takesOrders: true });
});

test.each([
  [{ host: "rebound.example" }, 421],
  [{ origin: "http://evil.example" }, 403],
  [{ origin: "null" }, 403],
  [{ host: "127.0.0.1:9150", origin: "http://127.0.0.1:9151" }, 403],
  [{ host: "127.0.0.1:9150", origin: "http://127.0.0.1:9150" }, 200],
  [{ host: "localhost", origin: "https://localhost" }, 200],
])("a request with %j gets %i", async (headers, status) => {
  await open(TOKEN);
  const { statusCode } = await send("/page/stream", { ...BEARER, ...headers });
  expect(statusCode).toBe(status);
  expect((await ask("/", headers)).status).toBe(status);
});

test("no image of another page takes a place among the clients", async () => {
  await open();
  expect((await ask("/page/stream", { "sec-fetch-site": "cross-site" })).status).toBe(403);
  expect((await send("/page/stream", { "sec-fetch-site": "same-origin" })).statusCode).toBe(200);
});

test.each(["//", "/page/stream?%", "*", "/page/stream?view=%ff"])(
  "a request for %s is answered, and no error",
  async (path) => {
    await open();
    expect((await send(path)).statusCode).toBeLessThan(500);
    expect(failures).toEqual([]);
  },
);

test("orders go through the routes of the control socket, and no other route is there", async () => {
  await open(TOKEN);
  const put = await ask("/v1/policies/closest?source=x.wasm", BEARER, "PUT", "wasm");
  expect(put.status).toBe(200);
  expect((await ask("/v1/policies/closest/rollback", BEARER, "POST")).status).toBe(200);
  const drain = JSON.stringify({ service: "b", instance: 1 });
  expect((await ask("/v1/drain", BEARER, "POST", drain)).status).toBe(200);
  expect(orders.modules).toEqual(["load closest wasm from x.wasm", "roll back closest"]);
  expect(orders.merged).toEqual(["drain undefined b 1"]);
  for (const [method, path] of [
    ["POST", "/v1/tables"],
    ["PUT", "/v1/engine"],
    ["DELETE", "/v1/policies/closest"],
    ["GET", "/v1/tables"],
  ] as const) {
    expect((await ask(path, BEARER, method)).status).toBeGreaterThanOrEqual(404);
  }
  expect(failures).toEqual([]);
});

test("without a token nobody gives orders", async () => {
  await open();
  expect((await ask("/v1/policies/closest/rollback", {}, "POST")).status).toBe(405);
  expect(orders.modules).toEqual([]);
});

test("nothing is read while nobody looks, and once for all who do", async () => {
  await open();
  const first = await follow();
  await Promise.all(Array.from({ length: 20 }, () => follow("?view=services")));
  await expect.poll(() => first.filter(({ name }) => name === "overview").length).toBeGreaterThan(2);
  const told = first.filter(({ name }) => name === "overview").length;
  expect(world.reads).toBeLessThan(2 * told + 10); // for each client it would be 21 times as many
  for (const response of opened.splice(0)) response.destroy();
  await expect.poll(() => readsIn(2500), { timeout: 60_000 }).toBe(0);
});

test("of a hundred clients, those beyond the bound are told so, and monitoring goes on", async () => {
  await open();
  const answers = await Promise.all(Array.from({ length: 100 }, () => send("/page/stream")));
  const statuses = answers.map(({ statusCode }) => statusCode);
  expect(statuses.filter((status) => status === 200)).toHaveLength(48);
  const refused = answers.filter(({ statusCode }) => statusCode === 503);
  expect(refused).toHaveLength(52);
  expect(refused[0]?.headers["retry-after"]).toBe("30");
  let text = "";
  for await (const part of refused[0]?.setEncoding("utf8") ?? []) text += part;
  expect(text).toBe("At most 48 may look at the page of a node at once, and so many do.\n");
  expect((await ask("/metrics")).status).toBe(200);
  for (const response of opened.splice(0)) response.destroy();
  await expect.poll(async () => (await send("/page/stream")).statusCode).toBe(200);
  expect(failures).toEqual([]);
});

test("a client that never reads gets no more than it took, is cut off, and the others are told as before", async () => {
  const { source } = await PageWorld.open([pageService("b", 1)]);
  const stream = new PageStream({
    source,
    takesOrders: false,
    onFailure: (error) => failures.push(error),
    stallLimitMs: 10,
  });
  const silent = new PassThrough({ highWaterMark: 1 }); // takes nothing, as a full connection
  const reading = new PassThrough();
  let told = "";
  reading.setEncoding("utf8").on("data", (part: string) => {
    told += part;
  });
  const query = { view: "overview", filter: "", offset: 0, order: "name" } as const;
  stream.add(silent, query, 0);
  stream.add(reading, query, 0);
  const waiting = silent.readableLength + silent.writableLength;
  expect(waiting).toBeGreaterThan(1);
  await expect.poll(() => silent.destroyed).toBe(true);
  expect(silent.readableLength + silent.writableLength).toBeLessThanOrEqual(waiting);
  const before = told.length;
  await expect.poll(() => told.length).toBeGreaterThan(before);
  expect(reading.destroyed).toBe(false);
  stream.close();
  expect(failures).toEqual([]);
});
