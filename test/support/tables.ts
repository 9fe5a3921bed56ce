// Small tables for tests of the control plane.

import type { Node, Tables } from "../../src/model/tables.ts";

export const OWN_NODE: Node = {
  id: "node-a",
  underlay: { address: "192.0.2.1", port: 50103 },
  location: { latitude: 48.1, longitude: 11.6 },
};

/** Service b: instance 1 on another node, instance 2 here, draining and without IPv6. */
export const TABLES: Tables = {
  nodes: [
    { id: "node-b", underlay: { address: "192.0.2.2", port: 50103 }, location: { latitude: 52.5, longitude: 13.4 } },
    { id: "node-c", underlay: { address: "2001:db8::3", port: 50104 } },
  ],
  services: [
    {
      name: "b",
      addresses: [
        { address: "10.30.0.2", policy: "round-robin" },
        { address: "fdff:1000::1", policy: "closest" },
      ],
      instances: [
        {
          number: 1,
          node: "node-b",
          namespaceAddresses: ["10.18.3.1", "fc00::18:3:1"],
          instanceAddresses: ["10.30.0.3", "fdff::3"],
          weight: 1,
          draining: false,
        },
        {
          number: 2,
          node: "node-a",
          namespaceAddresses: ["10.21.3.2"],
          instanceAddresses: ["10.30.0.4"],
          weight: 5,
          draining: true,
        },
      ],
    },
  ],
};
