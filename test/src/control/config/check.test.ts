// What `sapwood check` says of files that have no node of their own.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type CheckOptions, checkText } from "../../../../src/control/config/check.ts";

const SERVICES = `nodes:
  - { id: node-b, underlay: { address: 192.0.2.2 } }
services:
  - name: web
    addresses: [{ address: 10.30.0.2, policy: closest }]
    instances:
      - { number: 1, node: node-a, namespace: [10.18.3.1], addresses: [10.30.0.3] }
      - { number: 2, node: node-b, namespace: [10.18.3.2], addresses: [10.30.0.4] }
`;
const CONFIG = `node: { id: node-a, underlay: { address: 192.0.2.1 } }
ranges: [10.30.0.0/16, 10.31.0.0/16]
policies: { mine: { file: /srv/mine.wasm } }
nodes: [{ id: node-c, underlay: { address: 192.0.2.3 } }]
`;

let folder: string;
let configFile: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-check-"));
  configFile = join(folder, "node.yaml");
  writeFileSync(configFile, CONFIG);
});

afterEach(() => rmSync(folder, { recursive: true }));

function check(text: string, options: Partial<CheckOptions> = {}) {
  return checkText(text, "f", { configFile: undefined, isMerge: false, ...options });
}

test("a configuration has a node, a file for apply has none", () => {
  expect(check(CONFIG).node).toBe("node-a");
  const { node, tables } = check(SERVICES);
  expect([node, tables.nodes.length, tables.services.length]).toEqual([null, 1, 1]);
});

test.each([
  ["", "expected fields (node, "],
  ["tun: {}\nservices: []", "node: expected fields"],
  [SERVICES.replace("10.30.0.3", "10.30.0.4"), "expected an address that is not in use"],
  [SERVICES.replace("closest", "closets"), "did you mean closest?"],
  [SERVICES.replace("10.30.0.2", "10.31.0.2"), "expected an address within 10.30.0.0/16"],
  [`${SERVICES}      - { number: 3, node: node-x, namespace: [10.1.1.1], addresses: [10.30.0.5] }`, "node-x"],
  [`${SERVICES}remove: { services: [a] }`, "remove: expected no such field without --merge"],
  ["services: 5", "services: expected a list"],
])("%j is refused", (text, said) => {
  expect(() => check(text)).toThrow(said);
});

test("without a list of nodes instances may be on any node", () => {
  const text = SERVICES.slice(SERVICES.indexOf("services:"));
  expect(check(text).tables.services).toHaveLength(1);
});

test("--merge may remove, and name nodes that are in force", () => {
  const text = `${SERVICES.replace("node-a", "node-x")}remove: { services: [a], nodes: [b] }`;
  expect(check(text, { isMerge: true }).tables.services).toHaveLength(1);
  expect(() => check("remove: 5", { isMerge: true })).toThrow("remove: expected fields");
});

test("with a configuration its ranges, policies and nodes count", () => {
  const text = SERVICES.replace("10.30.0.2, policy: closest", "10.31.0.2, policy: mine");
  expect(() => check(text)).toThrow("expected one of");
  expect(check(text, { configFile }).tables.services).toHaveLength(1);
  expect(() => check(SERVICES.replace("node-a", "node-c"), { configFile })).toThrow("expected the id of this node");
  const servicesAlone = SERVICES.slice(SERVICES.indexOf("services:")).replace("node-b", "node-c");
  expect(check(servicesAlone, { configFile }).tables.services).toHaveLength(1);
  expect(() => check(SERVICES.replace("192.0.2.2", "192.0.2.1"), { configFile })).toThrow("another address and port");
});
