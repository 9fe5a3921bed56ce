// What the config file says of where a node's datagrams come from, and what is said about each mistake in it.
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../../src/control/config/config.ts";
import { refusalLines } from "../../../support/config-refusal.ts";

const OWN = "node: { id: node-a, underlay: { address: 192.0.2.11 } }\n";

function file(...nodes: string[]): string {
  return `${OWN}nodes:\n${nodes.map((node) => `  - ${node}\n`).join("")}`;
}

function node(id: string, address: string, accept: string, port = 50103): string {
  return `{ id: ${id}, underlay: { address: ${address}, port: ${port} }${accept === "" ? "" : `, accept: ${accept}`} }`;
}

test("a node sends from its own address and port unless its entry says more", () => {
  const text = file(
    node("b", "192.0.2.12", ""),
    node("c", "192.0.2.13", "{ anyPort: true, addresses: [198.51.100.7] }"),
  );
  expect(parseConfig(text, "f").tables.nodes.map(({ accept }) => accept)).toEqual([
    undefined,
    { anyPort: true, addresses: ["198.51.100.7"], anyAddress: false, unknownSources: false },
  ]);
});

test("nodes behind one address are told apart by their ports", () => {
  const text = file(
    node("b", "192.0.2.12", "", 4000),
    node("c", "192.0.2.12", "", 4001),
    node("d", "192.0.2.13", "{ addresses: [192.0.2.12] }", 4002),
  );
  expect(parseConfig(text, "f").tables.nodes).toHaveLength(3);
});

describe("a mistake is named with line and field", () => {
  test.each([
    [
      "any port of an address that another node sends from",
      [node("b", "192.0.2.12", "", 4000), node("c", "192.0.2.12", "{ anyPort: true }", 4001)],
      "4: nodes[1].accept.anyPort: expected datagrams that cannot be those of b as well, found 192.0.2.12",
    ],
    [
      "the same, in the other order",
      [node("b", "192.0.2.12", "{ anyPort: true }", 4000), node("c", "192.0.2.12", "", 4001)],
      "4: nodes[1].accept.anyPort: expected datagrams that cannot be those of b as well, found 192.0.2.12",
    ],
    [
      "an address and port that another node has",
      [node("b", "192.0.2.12", ""), node("c", "192.0.2.13", "{ addresses: [192.0.2.12] }")],
      "4: nodes[1].accept.addresses[0]: expected datagrams that cannot be those of b as well, found 192.0.2.12",
    ],
    [
      "an address in a service range",
      [node("b", "192.0.2.12", "{ addresses: [10.30.0.1] }")],
      "3: nodes[0].accept.addresses[0]: expected an address outside the ranges 10.30.0.0/16, fdff::/16, found 10.30.0.1",
    ],
    [
      "a field that does not exist",
      [node("b", "192.0.2.12", "{ anyport: true }")],
      "3: nodes[0].accept.anyport: expected one of anyPort, addresses, anyAddress, unknownSources, found anyport (did you mean anyPort?)",
    ],
  ])("%s", (_what, nodes, line) => {
    expect(refusalLines(file(...nodes))).toEqual([line]);
  });
});
