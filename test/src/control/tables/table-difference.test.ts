import { expect, test } from "vitest";
import { differenceOf } from "../../../../src/control/tables/table-difference.ts";
import type { Instance, Node, Service, Tables } from "../../../../src/model/tables.ts";
import { TABLES } from "../../../support/tables.ts";

const [NODE_B, NODE_C] = TABLES.nodes as [Node, Node];
const [B] = TABLES.services as [Service];
const [ONE, TWO] = B.instances as [Instance, Instance];
const NOTHING = { added: [], removed: [], changed: [] };

function difference(after: Partial<Tables>) {
  return differenceOf(TABLES, { ...TABLES, ...after });
}

test("the same tables, read anew, do not differ", () => {
  expect(differenceOf(TABLES, structuredClone(TABLES))).toEqual({ nodes: NOTHING, services: NOTHING });
});

test("nodes come, go and change, each by its id, with the fields that change", () => {
  const moved = { ...NODE_B, underlay: { address: "192.0.2.9", port: 50103 }, location: undefined };
  expect(difference({ nodes: [moved, { ...NODE_C, id: "node-d" }] }).nodes).toEqual({
    added: ["node-d"],
    removed: ["node-c"],
    changed: [
      {
        id: "node-b",
        fields: [
          { field: "underlay.address", before: "192.0.2.2", after: "192.0.2.9" },
          { field: "location.latitude", before: 52.5, after: null },
          { field: "location.longitude", before: 13.4, after: null },
        ],
      },
    ],
  });
});

test("services come and go by their names", () => {
  expect(difference({ services: [{ ...B, name: "c" }] }).services).toEqual({
    added: ["c"],
    removed: ["b"],
    changed: [],
  });
});

test("of a service the addresses and instances that come, go and change", () => {
  const after: Service = {
    ...B,
    addresses: [
      { address: "10.30.0.2", policy: "random" },
      { address: "10.30.0.9", policy: "closest" },
    ],
    instances: [
      { ...ONE, weight: 3, namespaceAddresses: ["10.18.3.1"] },
      { ...TWO, number: 3 },
    ],
  };
  expect(difference({ services: [after] }).services.changed).toEqual([
    {
      name: "b",
      fields: [],
      addresses: {
        added: [{ address: "10.30.0.9", policy: "closest" }],
        removed: [{ address: "fdff:1000::1", policy: "closest" }],
        changed: [{ address: "10.30.0.2", fields: [{ field: "policy", before: "round-robin", after: "random" }] }],
      },
      instances: {
        added: [{ number: 3, node: "node-a" }],
        removed: [{ number: 2, node: "node-a" }],
        changed: [
          {
            number: 1,
            fields: [
              { field: "weight", before: 1, after: 3 },
              { field: "namespace", before: ["10.18.3.1", "fc00::18:3:1"], after: ["10.18.3.1"] },
            ],
          },
        ],
      },
    },
  ]);
});
