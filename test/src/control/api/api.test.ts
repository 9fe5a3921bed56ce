// The control socket over a real unix socket, with a proxy made of constants behind it.

import { existsSync, linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SapwoodError } from "../../../../src/base/errors.ts";
import { ControlApi, ROUTES } from "../../../../src/control/api/api.ts";
import { TEXT_BYTES_MAX } from "../../../../src/sys/user-file.ts";
import { FakeSource } from "../../../support/control-source.ts";
import { EVENT, FLOW, POLICY, QUESTION, STATUS } from "../../../support/sample-reports.ts";

let folder: string;
let socket: string;
let source: FakeSource;
let unforeseen: unknown[];
let api: ControlApi | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-api-"));
  socket = join(folder, "run", "test.sock");
  source = new FakeSource();
  unforeseen = [];
});

afterEach(async () => {
  await api?.close();
  api = undefined;
  rmSync(folder, { recursive: true });
});

async function listen(): Promise<void> {
  api = await ControlApi.listen(socket, source.parts, (error) => unforeseen.push(error));
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

function ask(method: string, path: string, body?: string | Buffer, headers: Record<string, string> = {}) {
  return new Promise<Answer>((resolve, reject) => {
    const outgoing = request({ socketPath: socket, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text) }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Announces a body and waits for the answer without sending it. */
function askWithoutBody(method: string, path: string, headers: Record<string, string>) {
  return new Promise<Pick<Answer, "status" | "body">>((resolve, reject) => {
    const outgoing = request({ socketPath: socket, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => {
        outgoing.destroy();
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
      });
    });
    outgoing.on("error", reject);
    outgoing.flushHeaders();
  });
}

function errorBody(code: string, message = expect.any(String)): unknown {
  return { error: { code, message } };
}

describe("what is no JSON report", () => {
  function askText(path: string): Promise<{ status: number; type: unknown; text: string }> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath: socket, path, agent: false }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
          if (path.includes("follow")) outgoing.destroy();
        });
        const done = () => resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"], text });
        response.on("close", done);
      });
      outgoing.on("error", reject);
      outgoing.end();
    });
  }

  test.each([
    ["/metrics", 200, "text/plain", "sapwood_flows 3\n"],
    ["/healthz", 200, "application/json", '{"ok":true,"checks":[]}'],
    ["/readyz", 503, "application/json", '{"ok":false,"checks":[]}'],
  ])("%s has its own status and type", async (path, status, type, text) => {
    await listen();
    expect(await askText(path)).toEqual({ status, type, text });
  });

  test("events can be followed until the client leaves", async () => {
    await listen();
    const { status, type, text } = await askText("/v1/events?follow=true");
    expect([status, type, JSON.parse(text)]).toEqual([200, "application/x-ndjson", EVENT]);
    await expect.poll(() => source.refused).toEqual(["left"]);
  });

  test("a client that does not read what it follows is cut off", async () => {
    await listen();
    source.isFlooding = true;
    const client = connect(socket);
    client.pause();
    client.write("GET /v1/events?follow=true HTTP/1.1\r\nHost: sapwood\r\n\r\n");
    await expect.poll(() => source.refused).toEqual(["left"]);
    client.destroy();
  });
});

describe("routes", () => {
  beforeEach(listen);

  test.each([
    ["/v1/status", () => JSON.parse(JSON.stringify(STATUS))],
    ["/v1/services", () => source.services()],
    ["/v1/instances", () => source.instances()],
    ["/v1/nodes", () => source.nodes()],
    ["/v1/flows", () => ({ matching: 3, flows: [FLOW] })],
    ["/v1/counters", () => source.counters()],
    ["/v1/offloads", () => source.offloads()],
    ["/v1/policies", () => source.policies()],
    ["/v1/policies/closest", () => POLICY],
    ["/v1/engine", () => source.engine()],
  ])("GET %s answers what the proxy reports", async (path, expected) => {
    const answer = await ask("GET", path);
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.body).toEqual(expected());
  });

  test("flows are selected by the query, with a limit of 100 unless given", async () => {
    await ask("GET", "/v1/flows");
    await ask("GET", "/v1/flows?limit=5&service=a%20b&protocol=udp");
    expect(source.flowQueries).toEqual([
      { limit: 100, service: undefined, protocol: undefined },
      { limit: 5, service: "a b", protocol: "udp" },
    ]);
  });

  test.each(["limit=0", "limit=-1", "limit=1.5", "limit=x", "limit=", "protocol=sctp", "proto=tcp"])(
    "a query with %s is refused and nothing is selected",
    async (query) => {
      expect(await ask("GET", `/v1/flows?${query}`)).toMatchObject({ status: 400, body: errorBody("usage") });
      expect(source.flowQueries).toEqual([]);
    },
  );

  test("POST /v1/tables hands over the body as text and answers the generation", async () => {
    const answer = await ask("POST", "/v1/tables", "nodes: []\nservices: [] # ü\n");
    expect(answer).toMatchObject({ status: 200, body: { generation: 8, nodes: 3, services: 2, instances: 4 } });
    expect(source.applied).toEqual(["nodes: []\nservices: [] # ü\n"]);
  });

  test("PATCH /v1/tables hands over the body as a patch and answers the generation", async () => {
    const answer = await ask("PATCH", "/v1/tables", "remove: { services: [a] }");
    expect(answer).toMatchObject({ status: 200, body: { generation: 8, nodes: 3, services: 2, instances: 4 } });
    expect([source.applied, source.merged]).toEqual([[], ["remove: { services: [a] }"]]);
  });

  test.each([
    ["GET", "/v1/policies/my-own.1", "", "show my-own.1"],
    ["PUT", "/v1/policies/closest", "wasm", "load closest wasm from control socket"],
    ["PUT", "/v1/policies/closest?source=%2Fsrv%2Fa.wasm", "wasm", "load closest wasm from /srv/a.wasm"],
    ["PUT", "/v1/policies/closest?dryRun=true&source=a", "wasm", "try closest wasm"],
    ["PUT", "/v1/policies/closest?force=true&source=a", "wasm", "load closest wasm from a by force"],
    ["PUT", "/v1/policies/closest?force=true&dryRun=true", "wasm", "try closest wasm by force"],
    ["DELETE", "/v1/policies/my-own", "", "unload my-own"],
    ["PUT", "/v1/engine?source=b&force=true", "wasm", "load engine wasm from b by force"],
    ["PUT", "/v1/policies/closest?dryRun=false", "wasm", "load closest wasm from control socket"],
    ["POST", "/v1/policies/closest/rollback", "", "roll back closest"],
    ["PUT", "/v1/engine?source=b", "wasm", "load engine wasm from b"],
    ["POST", "/v1/engine/rollback", "", "roll back engine"],
  ])("%s %s orders what it says", async (method, path, body, order) => {
    expect(await ask(method, path, body)).toMatchObject({ status: 200 });
    expect(source.modules).toEqual([order]);
  });

  test.each([
    ["PUT", "/v1/policies/closest?dryRun=yes", 400, "usage"],
    ["PUT", "/v1/policies/closest?source=", 400, "usage"],
    ["PUT", "/v1/policies/closest?source=%0A", 400, "usage"],
    ["PUT", "/v1/policies/a/b", 404, "not-found"],
    ["PUT", "/v1/policies/", 404, "not-found"],
    ["GET", "/v1/policies/closest/rollback", 405, "method-not-allowed"],
    ["PATCH", "/v1/policies/closest", 405, "method-not-allowed"],
  ])("%s %s is refused, and nothing is ordered", async (method, path, status, code) => {
    expect(await ask(method, path)).toMatchObject({ status, body: errorBody(code) });
    expect(source.modules).toEqual([]);
  });

  test("a module of more than 8 MiB is refused by its announced length, before it is read", async () => {
    const headers = { "content-length": String(100 * 2 ** 20), "expect": "100-continue" };
    expect(await askWithoutBody("PUT", "/v1/policies/closest", headers)).toMatchObject({
      status: 413,
      body: errorBody("body-too-large", "A body may have at most 8388608 bytes here; this one has more."),
    });
    expect(source.modules).toEqual([]);
  });

  test("a refused body is answered with its error's status, code and sentence", async () => {
    source.failure = new SapwoodError("tables-invalid", "services[0].name: expected a name, found 5.");
    expect(await ask("POST", "/v1/tables", "services: [{name: 5}]")).toMatchObject({
      status: 422,
      body: errorBody("tables-invalid", "services[0].name: expected a name, found 5."),
    });
  });

  test("GET /v1/questions waits as long as it is told to", async () => {
    expect(await ask("GET", "/v1/questions")).toMatchObject({ status: 200, body: [QUESTION] });
    expect(await ask("GET", "/v1/questions?wait=10s")).toMatchObject({ status: 200, body: [QUESTION] });
    expect(source.questionWaits).toEqual([0, 10_000]);
  });

  test.each(["wait=x", "wait=-1s", "wait=1h", "for=1s"])("GET /v1/questions refuses %s", async (query) => {
    expect(await ask("GET", `/v1/questions?${query}`)).toMatchObject({ status: 400, body: errorBody("usage") });
  });

  test("POST /v1/questions/refuse hands over one address or many and answers the questions that are left", async () => {
    const answer = await ask("POST", "/v1/questions/refuse", '{"address": "10.30.77.77"}');
    expect(answer).toMatchObject({ status: 200, body: [QUESTION] });
    expect(source.refused).toEqual(["10.30.77.77"]);
    const addresses = Array.from({ length: 1000 }, (_, i) => `10.30.${i >> 8}.${i & 255}`);
    const many = await ask("POST", "/v1/questions/refuse", JSON.stringify({ addresses }));
    expect(many.status).toBe(200);
    expect(source.refused.slice(1)).toEqual(addresses);
  });

  test.each(["", "{}", '{"address": 5}', '{"addresses": "10.30.0.1"}', '{"addresses": [5]}', "null"])(
    "POST /v1/questions/refuse refuses the body %j",
    async (body) => {
      expect(await ask("POST", "/v1/questions/refuse", body)).toMatchObject({ status: 400, body: errorBody("usage") });
    },
  );

  test("POST /v1/offloads switches one offload and answers them all", async () => {
    const answer = await ask("POST", "/v1/offloads", '{"name": "udp-gro", "on": false}');
    expect(answer).toMatchObject({ status: 200, body: source.offloads() });
    expect(source.switched).toEqual(["udp-gro false"]);
  });

  test.each([
    ["", '"name" must be one of'],
    ["name: udp-gro", '"name" must be one of'],
    ["null", '"name" must be one of'],
    ['{"name": "tun-checksum", "on": true}', 'found "tun-checksum"'],
    ['{"name": "udp-gro"}', '"on" must be true or false'],
    ['{"name": "udp-gro", "on": "off"}', 'found "off"'],
  ])("POST /v1/offloads refuses the body %j", async (body, said) => {
    expect(await ask("POST", "/v1/offloads", body)).toMatchObject({
      status: 400,
      body: errorBody("usage", expect.stringContaining(said)),
    });
    expect(source.switched).toEqual([]);
  });

  test("a body that is no UTF-8 is refused", async () => {
    const answer = await ask("POST", "/v1/tables", Buffer.of(0xc3, 0x28));
    expect(answer).toMatchObject({ status: 422, body: errorBody("tables-invalid") });
  });

  test("a body that announces more than the limit is refused without being read", async () => {
    const answer = await ask("POST", "/v1/tables", undefined, { "content-length": String(TEXT_BYTES_MAX + 1) });
    expect(answer).toMatchObject({ status: 413, body: errorBody("body-too-large") });
    expect(source.applied).toEqual([]);
  });

  test("a body that grows beyond the limit is refused, and the proxy goes on answering", async () => {
    const answer = await new Promise<number>((resolve, reject) => {
      const headers = { "transfer-encoding": "chunked" };
      const options = { socketPath: socket, method: "POST", path: "/v1/drain", headers, agent: false };
      let isAnswered = false;
      const outgoing = request(options, (response) => {
        isAnswered = true;
        response.resume().on("end", () => resolve(response.statusCode ?? 0));
      });
      // The proxy ends the connection without reading the rest, so that writing on fails.
      outgoing.on("error", (error) => (isAnswered ? undefined : reject(error)));
      const part = Buffer.alloc(1024 * 1024, "#");
      const feed = () => {
        if (!isAnswered) outgoing.write(part, feed);
      };
      feed();
    });
    expect(answer).toBe(413);
    expect((await ask("GET", "/v1/status")).status).toBe(200);
  });

  test("an unknown path is 404 and names every route", async () => {
    const { status, body } = await ask("GET", "/v2/status");
    expect({ status, body }).toMatchObject({ status: 404, body: errorBody("not-found") });
    for (const { path } of ROUTES) expect(JSON.stringify(body)).toContain(path);
  });

  test.each([
    ["POST", "/v1/status", "GET"],
    ["DELETE", "/v1/tables", "GET, POST, PATCH"],
  ])("%s %s is 405 and says that it takes %s", async (method, path, allowed) => {
    const answer = await ask(method, path);
    expect(answer).toMatchObject({ status: 405, body: errorBody("method-not-allowed") });
    expect(answer.headers.allow).toBe(allowed);
  });

  test("an unforeseen failure is 500 without its inner words, and is reported to the proxy", async () => {
    source.failure = new TypeError("inner words");
    const { status, body } = await ask("GET", "/v1/status");
    expect({ status, body }).toMatchObject({ status: 500, body: errorBody("internal") });
    expect(JSON.stringify(body)).not.toContain("inner words");
    expect(unforeseen).toEqual([source.failure]);
  });

  test("what could not be answered without a descriptor says so, with what to do", async () => {
    source.failure = Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE", syscall: "open" });
    const { status, body } = await ask("GET", "/v1/status");
    expect({ status, body }).toMatchObject({ status: 503, body: errorBody("out-of-descriptors") });
    expect(JSON.stringify(body)).toContain("LimitNOFILE");
    expect(unforeseen).toEqual([]);
  });
});

test("a value of any depth in a body is named as what it is, and not repeated", async () => {
  await listen();
  const deep = `${"[".repeat(30_000)}${"]".repeat(30_000)}`; // JSON.stringify would use up the stack
  const message = '"service" must be a service\'s name; found a list.';
  expect(await ask("POST", "/v1/drain", `{"service":${deep}}`)).toMatchObject({
    status: 400,
    body: { error: { code: "usage", message } },
  });
  const long = await ask("POST", "/v1/drain", `{"instance":"${"x".repeat(60_000)}"}`);
  expect(long.body).toMatchObject({
    error: { message: `"instance" must be an instance's number; found "${"x".repeat(60)}...".` },
  });
  expect(unforeseen).toEqual([]);
});

describe("socket", () => {
  test("its folder is made, and owner and group may use it", async () => {
    await listen();
    expect(statSync(join(folder, "run")).mode & 0o777).toBe(0o755);
    expect(statSync(socket).isSocket()).toBe(true);
    expect(statSync(socket).mode & 0o777).toBe(0o660);
  });

  test("close removes it and may be called twice", async () => {
    await listen();
    await api?.close();
    await api?.close();
    expect(existsSync(socket)).toBe(false);
  });

  test("one that is answered is left alone", async () => {
    await listen();
    await expect(ControlApi.listen(socket, new FakeSource().parts, () => undefined)).rejects.toMatchObject({
      code: "already-running",
      message: expect.stringContaining(socket),
    });
    expect((await ask("GET", "/v1/status")).status).toBe(200);
  });

  test("one that nobody answers is replaced", async () => {
    await listen();
    const stale = join(folder, "stale.sock");
    await leaveStaleSocket(stale);
    socket = stale;
    const second = await ControlApi.listen(stale, source.parts, () => undefined);
    expect((await ask("GET", "/v1/status")).status).toBe(200);
    await second.close();
  });

  test("a file in its place is not removed", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "precious");
    await expect(ControlApi.listen(file, source.parts, () => undefined)).rejects.toMatchObject({ code: "usage" });
    expect(existsSync(file)).toBe(true);
  });

  test("a path that the kernel cannot hold is refused by its length", async () => {
    const path = join(folder, "x".repeat(110));
    await expect(ControlApi.listen(path, source.parts, () => undefined)).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("107 bytes"),
    });
  });

  test("a folder that cannot be made is named", async () => {
    const file = join(folder, "plain-file");
    writeFileSync(file, "");
    const path = join(file, "test.sock");
    await expect(ControlApi.listen(path, source.parts, () => undefined)).rejects.toMatchObject({
      code: "system-call",
      message: expect.stringContaining(path),
    });
  });
});

/** What a process leaves behind that was killed: a bound socket without a listener. */
async function leaveStaleSocket(path: string): Promise<void> {
  const draft = `${path}.draft`;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(draft, resolve));
  linkSync(draft, path);
  await new Promise((resolve) => server.close(resolve));
}

test("a client that leaves before it has sent all is no error of the proxy", async () => {
  await listen();
  const outgoing = request({
    socketPath: socket,
    method: "POST",
    path: "/v1/tables",
    headers: { "content-length": "100" },
  });
  outgoing.on("error", () => undefined);
  outgoing.write("nodes: []");
  await ask("GET", "/v1/status");
  outgoing.destroy();
  await new Promise((resolve) => outgoing.once("close", resolve));
  expect(await ask("GET", "/v1/status")).toMatchObject({ status: 200 });
  expect(unforeseen).toEqual([]);
  expect(source.applied).toEqual([]);
});
