// `sapwood ping` against a control socket with constants behind it.

import { expect, test } from "vitest";
import { SapwoodError } from "../../../src/base/errors.ts";
import { sapwood, useFakeProxy } from "./support/fake-proxy.ts";

const proxy = useFakeProxy();

test("each round trip is a line, and the end says how many were lost", async () => {
  const { exit, out } = await sapwood(["ping", "10.30.0.4", "-c", "3", "-i", "0.1", "-s", proxy.socket]);
  expect(out.split("\n")).toEqual([
    "10.30.0.4 is b#2 on node-c, at 192.0.2.3:50103, in clear",
    "node-c answered in 0.250 ms, path MTU 1372",
    "node-c does not answer (reachable)",
    "node-c answered in 0.250 ms, path MTU 1372",
    "3 sent, 2 answered, 33 % lost, round trip 0.250 / 0.250 / 0.250 ms (min / mean / max)",
    "",
  ]);
  expect(exit).toBe(0);
  expect(proxy.source.pinged).toEqual(["10.30.0.4", "node-c", "node-c"]); // the same instance each time
});

test("--json is one object about all of them", async () => {
  const { out } = await sapwood(["ping", "10.30.0.4", "-c", "2", "-i", "0.1", "--json", "-s", proxy.socket]);
  expect(JSON.parse(out)).toMatchObject({ to: "10.30.0.4", node: "node-c", sent: 2, answered: 1, loss: 0.5 });
});

test("it fails when nothing answers", async () => {
  proxy.source.pinged.push("one before, so that the next one is lost");
  const { exit, error } = await sapwood(["ping", "node-c", "-c", "1", "-s", proxy.socket]);
  expect({ exit, error }).toEqual({ exit: 1, error: 'sapwood: node-c answered none of 1: see "sapwood doctor".\n' });
});

test("what the proxy refuses is an error", async () => {
  proxy.source.failure = new SapwoodError("not-found", "There is no node.");
  expect(await sapwood(["ping", "x", "-s", proxy.socket])).toMatchObject({
    exit: 1,
    error: "sapwood: There is no node.\n",
  });
});

test.each(["0", "0.09", "-1", "soon", "1e3", "3601"])("the interval %s is refused", async (interval) => {
  const { exit, error } = await sapwood(["ping", "node-c", `--interval=${interval}`, "-s", proxy.socket]);
  expect(error).toContain(`--interval: expected seconds from 0.1 to 3600, found "${interval}".`);
  expect(exit).toBe(2);
});
