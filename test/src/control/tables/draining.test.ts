// Which instances an order drains.

import { expect, test } from "vitest";
import { type DrainOrder, drainPatch } from "../../../../src/control/tables/draining.ts";
import type { Tables } from "../../../../src/model/tables.ts";
import { TABLES } from "../../../support/tables.ts";

const TWO: Tables = {
  ...TABLES,
  services: TABLES.services.flatMap((service) => [service, { ...service, name: "c", addresses: [] }]),
};

test.each<[DrainOrder, readonly string[], readonly string[]]>([
  [{ service: "b", instance: 1, draining: true }, ["b"], ["b1", "b2"]],
  [{ service: "b", draining: false }, ["b"], []],
  [{ node: "node-b", draining: true }, ["b", "c"], ["b1", "b2", "c1", "c2"]],
  [{ node: "node-a", draining: false }, ["b", "c"], []],
  [{ node: "node-a", service: "c", draining: false }, ["c"], []],
])("%j sets the services %j, of which %j drain then", (order, set, draining) => {
  const { services, nodes, remove } = drainPatch(TWO, order);
  expect(services.map(({ name }) => name)).toEqual(set);
  const names = services.flatMap(({ name, instances }) =>
    instances.filter((one) => one.draining).map(({ number }) => `${name}${number}`),
  );
  expect(names).toEqual(draining);
  expect([nodes, remove]).toEqual([[], { nodes: [], services: [] }]);
});

test.each<[DrainOrder, string, RegExp]>([
  [{ draining: true }, "usage", /Which instances\?/],
  [{ instance: 1, draining: true }, "usage", /Expected the service of instance 1/],
  [{ service: "dd", draining: true }, "not-found", /There is no instance of the service "dd"\.$/],
  [{ service: "B", draining: true }, "not-found", /There is no instance of the service "B" \(did you mean b\?\)\.$/],
  [{ service: "b", instance: 9, draining: true }, "not-found", /There is no instance 9 of the service "b"\.$/],
  [{ node: "node-z", draining: true }, "not-found", /There is no instance on the node "node-z"\.$/],
])("%j is refused with %s", (order, code, message) => {
  expect(() => drainPatch(TWO, order)).toThrowError(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
});
