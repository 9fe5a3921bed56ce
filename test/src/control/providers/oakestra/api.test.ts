// The HTTP API: what the NodeEngine sends, and what it must be refused for.
import { pino } from "pino";
import { beforeEach, expect, test } from "vitest";
import { SapwoodError } from "../../../../../src/base/errors.ts";
import { netmanagerApp } from "../../../../../src/control/providers/oakestra/api.ts";

let calls: unknown[];
let failure: SapwoodError | undefined;

const app = netmanagerApp(
  {
    register: async (...call) => note("register", call),
    deploy: async (order) => {
      note("deploy", [order]);
      return { v4: "10.18.0.66", v6: "fc00::102" };
    },
    undeploy: async (...call) => note("undeploy", call),
  },
  pino({ level: "silent" }),
);

beforeEach(() => {
  calls = [];
  failure = undefined;
});

function note(what: string, call: readonly unknown[]): void {
  if (failure !== undefined) throw failure;
  calls.push([what, ...call]);
}

async function post(route: string, body: string, method = "POST") {
  const response = await app.request(route, { method, ...(method === "POST" ? { body } : {}) });
  return { status: response.status, body: await response.text() };
}

test("a registration [behaviour 1]", async () => {
  expect(await post("/register", '{"client_id":"65a0","cluster_address":"192.0.2.9"}')).toEqual({
    status: 200,
    body: "",
  });
  expect(await post("/register/", '{"CLIENT_ID":"65a0","node_address":"x"}')).toEqual({ status: 200, body: "" });
  expect(calls).toEqual([
    ["register", "65a0", "192.0.2.9"],
    ["register", "65a0", ""],
  ]);
});

test("a registration in the words of a later release [measured 11]", async () => {
  const later = { client_id: "65a0", cluster_ip: "192.0.2.9", cluster_name: "one", node_public_ip: "192.0.2.1" };
  expect(await post("/register", JSON.stringify(later))).toEqual({ status: 200, body: "" });
  await post("/register", JSON.stringify({ ...later, cluster_address: "192.0.2.8" }));
  expect(calls).toEqual([
    ["register", "65a0", "192.0.2.9"],
    ["register", "65a0", "192.0.2.8"],
  ]);
});

test.each(["/container/deploy", "/wasm/deploy"])("a deploy by %s and its answer [measured 11]", async (route) => {
  const body = '{"pid":4242,"serviceName":"x.d.x1.d","instanceNumber":1,"portMappings":"80"}';
  const answer = await post(route, body);
  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.body)).toEqual({
    serviceName: "x.d.x1.d",
    nsAddress: "10.18.0.66",
    nsAddressv6: "fc00::102",
    nsAddressV6: "fc00::102",
  });
  expect(calls).toEqual([["deploy", JSON.parse(body)]]);
});

test.each(["/container/undeploy", "/docker/undeploy", "/wasm/undeploy"])("an undeploy by %s", async (route) => {
  const body = '{"pid":-1,"serviceName":"x.d.x1.d","instanceNumber":0,"portMappings":""}';
  expect(await post(route, body)).toEqual({ status: 200, body: "" });
  expect(calls).toEqual([["undeploy", "x.d.x1.d", 0]]);
});

test.each([
  ["no JSON", "{"],
  ["nothing", ""],
  ["a list", "[]"],
  ["a text in the place of a number", '{"pid":"7","serviceName":"x.d.x1.d"}'],
  ["a fraction", '{"pid":1.5}'],
  ["a negative instance", '{"instanceNumber":-1}'],
])("%s is refused, and nothing is done [defect 35, measured 5]", async (_what, body) => {
  expect((await post("/container/deploy", body)).status).toBe(400);
  expect(calls).toEqual([]);
});

test("a value of any depth is named as what it is, and not repeated", async () => {
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`; // JSON.stringify would use up the stack
  const answers = await Promise.all([
    post("/container/deploy", `{"serviceName":${deep}}`),
    post("/container/deploy", `{"portMappings":{"a":${deep}}}`),
    post("/container/deploy", `{"pid":"${"7".repeat(60_000)}"}`),
  ]);
  expect(answers).toEqual([
    { status: 400, body: '{"error":"serviceName: expected text, found a list."}' },
    { status: 400, body: '{"error":"portMappings: expected text, found fields."}' },
    { status: 400, body: `{"error":"pid: expected a whole number, found \\"${"7".repeat(60)}...\\"."}` },
  ]);
});

test("other methods and paths [behaviour 1]", async () => {
  expect((await post("/register", "", "GET")).status).toBe(405);
  expect((await post("/status", "{}")).status).toBe(404);
});

test("what fails is no 200, and says why [behaviour 1, behaviour 2]", async () => {
  failure = new SapwoodError("usage", "The worker is not registered.");
  expect(await post("/container/deploy", "{}")).toEqual({
    status: 400,
    body: '{"error":"The worker is not registered."}',
  });
  failure = new SapwoodError("network-setup", "No.");
  expect(await post("/container/deploy", "{}")).toEqual({ status: 500, body: '{"error":"No."}' });
});

test("a body that is too large is refused", async () => {
  expect((await post("/register", JSON.stringify({ client_id: "x".repeat(70_000) }))).status).toBe(400);
});
