// What the config file says of the observation listener, and what is said about each mistake in it.

import { expect, test } from "vitest";
import { parseConfig } from "../../../../src/control/config/config.ts";
import { refusalLines } from "../../../support/config-refusal.ts";

function file(observe: string): string {
  return `node: { id: node-a, underlay: { address: 192.0.2.11 } }\nobserve: { ${observe} }\n`;
}

test.each([
  ["127.0.0.1:9150", { address: "127.0.0.1", port: 9150 }],
  ["[::1]:1", { address: "::1", port: 1 }],
  ["[::ffff:127.0.0.1]:65535", { address: "127.0.0.1", port: 65_535 }],
])("listens at %s", (listen, expected) => {
  expect(parseConfig(file(`listen: "${listen}"`), "f").observe.listen).toEqual(expected);
});

test("listens nowhere unless it is told to", () => {
  expect(parseConfig(file(""), "f").observe).toEqual({ hosts: [], readyPeers: "any" });
});

test("listens for everybody only with a token", () => {
  expect(parseConfig(file('listen: "0.0.0.0:9150", token: ./token'), "f").observe.token).toBe("./token");
});

test.each([
  ['listen: "0.0.0.0:9150"', "observe.listen: expected a loopback address, or observe.token, found 0.0.0.0 without"],
  ['listen: "[::]:9150"', "found :: without a token"],
  ['listen: "192.0.2.11:9150"', "found 192.0.2.11 without a token"],
  ['listen: "localhost:9150"', "expected an address and a port like 127.0.0.1:9150 or [::1]:9150"],
  ['listen: "127.0.0.1"', "expected an address and a port"],
  ['listen: "127.0.0.1:0"', "expected an address and a port"],
  ['listen: "127.0.0.1:65536"', "expected an address and a port"],
  ['listen: "::1:9150"', "expected an address and a port"],
  ["listen: 9150", "expected text"],
  ["readyPeers: some", "expected one of any, all, none"],
  ["hosts: node-a", "expected a list"],
  ["port: 9150", "listen, token, hosts, readyPeers"],
])("refuses %s", (observe, message) => {
  expect(refusalLines(file(observe)).join("\n")).toContain(message);
});
