// The table store: the rules of the tables, all or nothing, and turns.

import { describe, expect, test } from "vitest";
import { TableStore } from "../../../../src/control/tables/table-store.ts";
import { createSharedMemory } from "../../../../src/memory/shared-memory.ts";
import { TableWriter } from "../../../../src/memory/table-writer.ts";
import { BUILT_IN_POLICIES } from "../../../../src/model/policy-names.ts";
import type { Instance, Node, Service, Tables, TablesPatch } from "../../../../src/model/tables.ts";
import { A, B, GOOD, NODE_B, ONE, RANGES, TWO } from "./support/good-tables.ts";

const HEAVY_B: Service = { ...B, instances: [{ ...ONE, weight: 9 }, TWO] };

function freshStore(addresses = 64): TableStore {
  const capacities = { flows: 64, addresses, instances: 32, workloads: 16, nodes: 4, workers: 1 };
  const writer = new TableWriter(createSharedMemory({ capacities }), { nodeId: "node-a", policySlot: () => 0 });
  return new TableStore(writer, { nodeId: "node-a", ranges: RANGES, location: { latitude: 1, longitude: 1 } });
}

/** GOOD with another service b.demo. */
function withB(change: Partial<Service>): Tables {
  return { ...GOOD, services: [A, { ...B, ...change }] };
}

function withOne(change: Partial<Instance>): Tables {
  return withB({ instances: [{ ...ONE, ...change }, TWO] });
}

function withAddress(address: string, policy = "closest"): Tables {
  return withB({ addresses: [{ address, policy }] });
}

describe("changes", () => {
  test("one apply is one generation and says what it changed", async () => {
    const store = freshStore();
    expect(await store.apply(GOOD)).toEqual({
      generation: 1,
      changes: { nodesSet: 1, nodesRemoved: 0, servicesSet: 2, servicesRemoved: 0 },
    });
    expect(await store.apply(withOne({ draining: true }))).toEqual({
      generation: 2,
      changes: { nodesSet: 0, nodesRemoved: 0, servicesSet: 1, servicesRemoved: 0 },
    });
    expect(await store.apply({ nodes: [], services: [A] })).toEqual({
      generation: 3,
      changes: { nodesSet: 0, nodesRemoved: 1, servicesSet: 0, servicesRemoved: 1 },
    });
    expect(store.snapshot()).toEqual({ nodes: [], services: [A] });
  });

  test("whether it concerns this node's network is told: other nodes, and services with an instance here", async () => {
    const store = freshStore();
    const told: boolean[] = [];
    await store.apply(GOOD);
    store.onChange(({ isNearby }) => void told.push(isNearby));
    await store.apply(withOne({ weight: 7 }));
    await store.apply(withOne({ weight: 7, node: "node-a" }));
    await store.apply(withOne({ weight: 8, node: "node-a" }));
    await store.apply(GOOD);
    await store.apply({ ...GOOD, services: [A] });
    await store.apply({ ...GOOD, services: [B] });
    const moved = { ...NODE_B, underlay: { ...NODE_B.underlay, port: 50104 } };
    await store.apply({ nodes: [moved], services: [B] });
    expect(told).toEqual([false, true, true, true, false, true, true]);
  });

  test("the same tables again are no new generation", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    expect((await store.apply(structuredClone(GOOD))).generation).toBe(1);
  });

  test("records lead back to names", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    const [first = 0, second = 0] = store.instanceIndices("b.demo");
    expect(store.instanceNames().get(second)).toEqual({ service: "b.demo", number: 2, node: "node-b" });
    expect(store.nodeIndex("node-b")).toBe(1);
    expect(first).not.toBe(second);
  });

  test("an address may go from one service to another in one change", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    const heir: Service = { name: "c.demo", addresses: B.addresses, instances: [] };
    await store.apply({ nodes: [NODE_B], services: [A, { ...B, addresses: [] }, heir] });
    await expect(store.apply({ nodes: [NODE_B], services: [A, B, heir] })).rejects.toThrow(
      /^services\[1\]\.addresses\[0\]\.address: .*\(c\.demo has it\)/,
    );
  });

  test("changes made at the same time take turns", async () => {
    const store = freshStore();
    const results = await Promise.allSettled([
      store.apply(GOOD),
      store.apply(withOne({ weight: 2 })),
      store.apply(withOne({ weight: 0 })),
      store.apply(withOne({ weight: 3 })),
    ]);
    const outcomes = results.map((result) => (result.status === "fulfilled" ? result.value.generation : "refused"));
    expect(outcomes).toEqual([1, 2, "refused", 3]);
    expect(store.snapshot()).toEqual(withOne({ weight: 3 }));
  });

  test("a refusal leaves everything as it was", async () => {
    const store = freshStore(8);
    await store.apply(GOOD);
    const many = Array.from({ length: 9 }, (_, i) => ({ address: `10.30.9.${i}`, policy: "closest" }));
    await expect(store.apply(withOne({ weight: 0 }))).rejects.toMatchObject({ code: "tables-invalid" });
    await expect(store.apply(withB({ addresses: many }))).rejects.toMatchObject({ code: "capacity-exceeded" });
    expect(store.snapshot()).toEqual(GOOD);
    expect(store.generation).toBe(1);
    expect((await store.apply(withOne({ weight: 2 }))).generation).toBe(2);
  });
});

describe("a patch", () => {
  const NODE_C: Node = { id: "node-c", underlay: { address: "192.0.2.13", port: 50103 } };
  const C: Service = { name: "c.demo", addresses: [], instances: [] };
  const patch = (change: Partial<TablesPatch>): TablesPatch => ({
    nodes: [],
    services: [],
    remove: { nodes: [], services: [] },
    ...change,
  });
  const removing = (nodes: readonly string[], services: readonly string[]) => patch({ remove: { nodes, services } });

  test("sets and removes what it names, in one generation, and keeps the rest in its place", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    const heavy: Service = { ...A, instances: A.instances.map((instance) => ({ ...instance, weight: 2 })) };
    expect(await store.merge(patch({ nodes: [NODE_C], services: [C, heavy] }))).toEqual({
      generation: 2,
      changes: { nodesSet: 1, nodesRemoved: 0, servicesSet: 2, servicesRemoved: 0 },
    });
    expect(store.snapshot()).toEqual({ nodes: [NODE_B, NODE_C], services: [heavy, B, C] });
    expect((await store.merge(removing(["node-c"], ["c.demo"]))).generation).toBe(3);
    expect(store.snapshot()).toEqual({ nodes: [NODE_B], services: [heavy, B] });
  });

  test("that changes nothing is no new generation", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    expect((await store.merge(structuredClone(patch({ nodes: [NODE_B], services: [B] })))).generation).toBe(1);
  });

  test("gives to one service what another one gives up", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    const heir: Service = { ...C, addresses: B.addresses };
    await store.merge(patch({ services: [heir], remove: { nodes: [], services: ["b.demo"] } }));
    expect(store.snapshot().services).toEqual([A, heir]);
  });

  test("takes its turn among other changes", async () => {
    const store = freshStore();
    await Promise.all([
      store.apply(GOOD),
      store.merge(patch({ services: [C] })),
      store.merge(removing([], ["c.demo"])),
    ]);
    expect([store.generation, store.snapshot()]).toEqual([3, GOOD]);
  });

  test("takes everything away when that is said", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    await store.merge({ ...removing(["node-b"], ["a.demo", "b.demo"]), keepsSome: false });
    expect(store.snapshot()).toEqual({ nodes: [], services: [] });
  });

  test.each<[string, TablesPatch, string]>([
    [
      "a service twice",
      patch({ services: [C, C] }),
      "services[1].name: expected a name other than that of services[0], found c.demo",
    ],
    [
      "a node in the place of one that stays",
      patch({ nodes: [{ ...NODE_C, underlay: NODE_B.underlay }] }),
      "nodes[0].underlay.address: expected another address and port than those of node-b, found 192.0.2.12",
    ],
    [
      "an address of a service that stays",
      patch({ services: [{ ...C, addresses: B.addresses }] }),
      "services[0].addresses[0].address: expected an address that is not in use (b.demo has it), found 10.30.0.2",
    ],
    [
      "an address of a service that gets another weight with it",
      patch({ services: [HEAVY_B, { ...C, addresses: B.addresses }] }),
      "services[1].addresses[0].address: expected an address that is not in use (b.demo has it), found 10.30.0.2",
    ],
    [
      "a weight of nothing, where all else stays",
      patch({ services: [{ ...B, instances: [{ ...ONE, weight: 0 }, TWO] }] }),
      "services[0].instances[0].weight: expected a whole number from 1 to 65535, found 0",
    ],
    [
      "the removal of a node that a service with another weight needs",
      patch({ services: [HEAVY_B], remove: { nodes: ["node-b"], services: [] } }),
      "services[0].instances[0].node: expected the id of this node or of one under nodes, found node-b",
    ],
    [
      "an unknown node",
      patch({ services: [{ ...A, instances: [{ ...ONE, node: "node-x" }] }] }),
      "services[0].instances[0].node: expected the id of this node or of one under nodes, found node-x",
    ],
    [
      "the removal of a node that a service needs",
      removing(["node-b"], []),
      "services.b.demo.instances[0].node: expected the id of this node or of one under nodes, found node-b",
    ],
    [
      "the removal of what is not there",
      removing(["node-x"], ["x"]),
      "remove.nodes[0]: expected a name that is in force, found node-x\nremove.services[0]: expected a name that is in force, found x",
    ],
    [
      "what it both sets and removes",
      patch({ services: [B], remove: { nodes: [], services: ["b.demo"] } }),
      "remove.services[0]: expected a name that services does not set, found b.demo",
    ],
    [
      "taking everything away without a word",
      { ...removing(["node-b"], ["a.demo", "b.demo"]), keepsSome: true },
      "services: expected at least one service, as there are 2 in force, or allowEmpty: true; found none",
    ],
    [
      "setting the services to no instances without a word",
      { ...patch({ services: [A, B].map((service) => ({ ...service, instances: [] })) }), keepsSome: true },
      "services: expected at least one instance, as there are 3 in force, or allowEmpty: true; found none",
    ],
  ])("is refused for %s, and all stays as it was", async (_, refused, message) => {
    const store = freshStore();
    await store.apply(GOOD);
    await expect(store.merge(refused)).rejects.toMatchObject({
      code: "tables-invalid",
      message: expect.stringContaining(message),
    });
    expect([store.generation, store.snapshot()]).toEqual([1, GOOD]);
  });
});

describe("tables that break a rule are refused with the field", () => {
  const otherB: Service = { ...B, instances: [] };
  test.each<[string, Tables, string]>([
    [
      "a service twice",
      { ...GOOD, services: [A, B, B] },
      "services[2].name: expected a name other than that of services[1], found b.demo",
    ],
    [
      "an address twice",
      { ...GOOD, services: [B, { ...otherB, name: "c" }] },
      "services[1].addresses[0].address: expected an address that is not in use (b.demo has it), found 10.30.0.2",
    ],
    [
      "a service address that is an instance's",
      withAddress("10.30.0.3"),
      "services[1].instances[0].addresses[0]: expected an address that is not in use",
    ],
    [
      "one namespace address on two instances",
      withOne({ namespaceAddresses: ["10.18.3.2"] }),
      "services[1].instances[1].namespace[0]: expected an address that is not in use",
    ],
    [
      "an address outside the ranges",
      withAddress("10.31.0.1"),
      "services[1].addresses[0].address: expected an address within 10.30.0.0/16, fdff::/16, found 10.31.0.1",
    ],
    [
      "an instance address outside the ranges",
      withOne({ instanceAddresses: ["10.31.0.3", "fdff::3"] }),
      "services[1].instances[0].addresses[0]: expected an address within",
    ],
    [
      "a namespace address inside the ranges",
      withOne({ namespaceAddresses: ["10.30.7.7"] }),
      "services[1].instances[0].namespace[0]: expected an address outside",
    ],
    [
      "an unknown policy",
      withAddress("10.30.0.2", "closets"),
      `services[1].addresses[0].policy: expected one of ${BUILT_IN_POLICIES.join(", ")}, found closets (did you mean closest?)`,
    ],
    [
      "an unknown node",
      withOne({ node: "node-c" }),
      "services[1].instances[0].node: expected the id of this node or of one under nodes, found node-c",
    ],
    [
      "the own node among the others",
      { ...GOOD, nodes: [NODE_B, { ...NODE_B, id: "node-a" }] },
      "nodes[1].id: expected another node than this one, found node-a",
    ],
    [
      "a node twice",
      { ...GOOD, nodes: [NODE_B, { ...NODE_B, underlay: { address: "192.0.2.13", port: 1 } }] },
      "nodes[1].id: expected an id that no other node has, found node-b",
    ],
    [
      "two nodes at one place",
      { ...GOOD, nodes: [NODE_B, { ...NODE_B, id: "node-c" }] },
      "nodes[1].underlay.address: expected another address and port than those of node-b",
    ],
    [
      "a node inside the ranges",
      { ...GOOD, nodes: [{ ...NODE_B, underlay: { address: "10.30.8.8", port: 1 } }] },
      "nodes[0].underlay.address: expected an address outside the ranges",
    ],
    [
      "a port of 0",
      { ...GOOD, nodes: [{ ...NODE_B, underlay: { address: "192.0.2.1", port: 0 } }] },
      "nodes[0].underlay.port: expected a port from 1 to 65535, found 0",
    ],
    [
      "a number twice",
      withOne({ number: 2 }),
      "services[1].instances[1].number: expected a number that no other instance has, found 2",
    ],
    [
      "a negative number",
      withOne({ number: -1 }),
      "services[1].instances[0].number: expected a whole number, not negative, found -1",
    ],
    [
      "a weight of 0",
      withOne({ weight: 0 }),
      "services[1].instances[0].weight: expected a whole number from 1 to 65535, found 0",
    ],
    [
      "a weight too large",
      withOne({ weight: 65_536 }),
      "services[1].instances[0].weight: expected a whole number from 1 to 65535, found 65536",
    ],
    [
      "a multicast address",
      withOne({ namespaceAddresses: ["224.0.0.1"] }),
      "services[1].instances[0].namespace[0]: expected an address of a host, found the multicast address 224.0.0.1",
    ],
    [
      "an unspecified address",
      withOne({ namespaceAddresses: ["10.18.3.1", "::"] }),
      "services[1].instances[0].namespace[1]: expected an address of a host, found the unspecified address ::",
    ],
    [
      "no address",
      withOne({ namespaceAddresses: ["somewhere"] }),
      "services[1].instances[0].namespace[0]: expected an IPv4 or IPv6 address, found somewhere",
    ],
    [
      "an address in another form",
      withOne({ namespaceAddresses: ["10.18.3.1", "FC00::1"] }),
      "services[1].instances[0].namespace[1]: expected an address in canonical form, found FC00::1",
    ],
    [
      "two addresses of a family",
      withOne({ namespaceAddresses: ["10.18.3.1", "10.18.3.9"] }),
      "services[1].instances[0].namespace[1]: expected at most one IPv4 address, found 10.18.3.9",
    ],
    [
      "no namespace address",
      withOne({ namespaceAddresses: [] }),
      "services[1].instances[0].namespace: expected at least one address, found none",
    ],
    [
      "a namespace address without an instance address",
      withOne({ instanceAddresses: ["10.30.0.3"] }),
      "services[1].instances[0].addresses: expected an IPv6 address beside the IPv6 namespace address, found none",
    ],
    [
      "a name with a space",
      withB({ name: "b demo" }),
      "services[1].name: expected 1 to 253 bytes of printable characters without spaces, found b demo",
    ],
  ])("%s", async (_, tables, message) => {
    const store = freshStore();
    await expect(store.apply(tables)).rejects.toMatchObject({
      code: "tables-invalid",
      message: expect.stringContaining(message),
    });
    expect(store.generation).toBe(0);
    await store.apply(GOOD);
    // The same again when most of it is in force already.
    await expect(store.apply(tables)).rejects.toMatchObject({ message: expect.stringContaining(message) });
    expect(store.snapshot()).toEqual(GOOD);
  });

  test("a node that goes while a service that stays the same names it", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    const lines = "services[1].instances[0].node: expected the id of this node or of one under nodes, found node-b";
    await expect(store.apply({ ...GOOD, nodes: [] })).rejects.toMatchObject({
      message: expect.stringMatching(new RegExp(`^${lines.replaceAll(/[[\].]/g, "\\$&")}`)),
    });
  });

  test("an address of a service that stays the same", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    const thief: Service = { ...otherB, name: "c.demo" };
    await expect(store.apply({ ...GOOD, services: [A, B, thief] })).rejects.toThrow(
      "services[2].addresses[0].address: expected an address that is not in use (b.demo has it), found 10.30.0.2",
    );
  });
});

describe("previews", () => {
  test("tell what is and what would be, and change nothing", async () => {
    const store = freshStore();
    await store.apply(GOOD);
    const after = withOne({ weight: 7 });
    expect(await store.previewApply(after)).toEqual({ generation: 1, before: GOOD, after });
    const patch: TablesPatch = { nodes: [], services: [], remove: { nodes: [], services: ["a.demo"] } };
    expect(await store.previewMerge(patch)).toEqual({
      generation: 1,
      before: GOOD,
      after: { nodes: [NODE_B], services: [B] },
    });
    expect([store.generation, store.snapshot()]).toEqual([1, GOOD]);
  });

  test("refuse what the change would be refused for", async () => {
    const store = freshStore(5);
    await expect(store.previewApply(withOne({ node: "nowhere" }))).rejects.toMatchObject({ code: "tables-invalid" });
    const many = withB({ addresses: [1, 2, 3, 4].map((i) => ({ address: `10.30.9.${i}`, policy: "closest" })) });
    await expect(store.previewApply(many)).rejects.toMatchObject({ code: "capacity-exceeded" });
    await expect(store.apply(many)).rejects.toMatchObject({ code: "capacity-exceeded" });
  });

  test("take no room that a change needs", async () => {
    const store = freshStore(6);
    for (let i = 0; i < 100; i++) await store.previewApply(GOOD);
    expect((await store.apply(GOOD)).generation).toBe(1);
  });
});
