// Tables that a store accepts, and their parts.
import type { Instance, Node, Service, Tables } from "../../../../../src/model/tables.ts";
import { parsePrefix } from "../../../../../src/net/address.ts";

export const RANGES = ["10.30.0.0/16", "fdff::/16"].map(parsePrefix);
export const NODE_B: Node = { id: "node-b", underlay: { address: "192.0.2.12", port: 50103 } };
export const ONE: Instance = {
  number: 1,
  node: "node-b",
  namespaceAddresses: ["10.18.3.1", "fc00::18:3:1"],
  instanceAddresses: ["10.30.0.3", "fdff::3"],
  weight: 1,
  draining: false,
};
export const TWO: Instance = { ...ONE, number: 2, namespaceAddresses: ["10.18.3.2"], instanceAddresses: ["10.30.0.4"] };
export const B: Service = {
  name: "b.demo",
  addresses: [{ address: "10.30.0.2", policy: "round-robin" }],
  instances: [ONE, TWO],
};
export const A: Service = {
  name: "a.demo",
  addresses: [],
  instances: [{ ...ONE, node: "node-a", namespaceAddresses: ["10.101.3.23"], instanceAddresses: ["10.30.1.5"] }],
};
export const GOOD: Tables = { nodes: [NODE_B], services: [A, B] };
