// What a client of the lab tells of its connections.

import { once } from "node:events";
import { createServer } from "node:http";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Call, HttpTransport } from "../../../src/lab/workload-call.ts";

const port = vi.hoisted(() => ({ number: 0 }));
vi.mock("../../../src/lab/workload-protocol.ts", async (original) => ({
  ...(await original<object>()),
  get SERVICE_PORT() {
    return port.number;
  },
}));

let server: ReturnType<typeof createServer>;
let call: Call;

beforeEach(async () => {
  server = createServer((request, response) => {
    response.end(JSON.stringify({ instance: "a 0", source: "", sourcePort: 0, echo: request.url?.slice(1) }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  port.number = (server.address() as { port: number }).port;
});
afterEach(() => {
  call.close();
  server.close();
});

test("calls over a kept connection are of one port, and none fails", async () => {
  call = new Call(new HttpTransport("127.0.0.1", true));
  await call.ask();
  const { localPort } = call.report();
  await call.ask();
  expect(call.report()).toMatchObject({ instances: ["a 0"], failures: [], localPort });
});

test("a kept connection that ends while nothing is asked is a failure, and the next call goes over another one", async () => {
  call = new Call(new HttpTransport("127.0.0.1", true));
  await call.ask();
  const { localPort } = call.report();
  server.closeIdleConnections();
  await call.ask();
  expect(call.report().failures).toEqual([expect.stringMatching(`from port ${localPort}: Error: socket hang up`)]);
  await call.ask();
  expect(call.report()).toMatchObject({ instances: ["a 0"], failures: [] });
});

test("a connection for each call may end after it", async () => {
  call = new Call(new HttpTransport("127.0.0.1", false));
  await call.ask();
  server.closeIdleConnections();
  await call.ask();
  expect(call.report()).toMatchObject({ instances: ["a 0", "a 0"], failures: [] });
});
