// Newer records win over older ones with the same namespace address: in the tables, and for whoever looks at them.
import { beforeEach, describe, expect, test } from "vitest";
import { TableStore } from "../../../../src/control/tables/table-store.ts";
import { createSharedMemory } from "../../../../src/memory/shared-memory.ts";
import { TableWriter } from "../../../../src/memory/table-writer.ts";
import type { Service, TablesPatch } from "../../../../src/model/tables.ts";
import { A, B, GOOD, ONE, RANGES, TWO } from "./support/good-tables.ts";

const NEWER: Service = {
  name: "c.demo",
  addresses: [],
  instances: [{ ...ONE, number: 0, instanceAddresses: ["10.30.0.77", "fdff::77"] }],
};

describe("a newer record with a namespace address that an older one has", () => {
  let told: string[];
  const patchOf = (...services: Service[]): TablesPatch => ({
    nodes: [],
    services,
    remove: { nodes: [], services: [] },
  });
  beforeEach(() => {
    told = [];
  });

  async function storeWithGood(): Promise<TableStore> {
    const writer = new TableWriter(createSharedMemory({}), { nodeId: "node-a", policySlot: () => 0 });
    const store = new TableStore(writer, { nodeId: "node-a", ranges: RANGES, tell: (sentence) => told.push(sentence) });
    await store.apply(GOOD);
    return store;
  }

  test("takes its place in the same generation, and one sentence tells it", async () => {
    const store = await storeWithGood();
    const { generation, changes } = await store.merge(patchOf(NEWER));
    expect([generation, changes.servicesSet]).toEqual([2, 2]);
    const rest = { ...B, instances: [TWO] };
    expect(store.snapshot()).toEqual({ nodes: GOOD.nodes, services: [A, rest, NEWER] });
    expect(told).toEqual(["instance 1 of b.demo is withdrawn: c.demo has its namespace address 10.18.3.1 now"]);
    // The last one counts, however often it goes to and fro.
    await store.merge(patchOf(B));
    expect(store.snapshot().services).toEqual([A, B, { ...NEWER, instances: [] }]);
    await store.merge(patchOf(NEWER));
    expect(store.snapshot().services).toEqual([A, rest, NEWER]);
    expect(told).toHaveLength(3);
  });

  test("may have its instance address as well, and only one of its namespace addresses", async () => {
    const store = await storeWithGood();
    const moved = { ...ONE, namespaceAddresses: ["10.18.3.1"], instanceAddresses: ["10.30.0.3"] };
    await store.merge(patchOf({ ...NEWER, instances: [moved] }));
    expect(store.snapshot().services[1]?.instances).toEqual([TWO]);
    expect(told).toHaveLength(1);
  });

  test("is refused beside it in one change, which has no newer one", async () => {
    const store = await storeWithGood();
    await expect(store.merge(patchOf(B, NEWER))).rejects.toThrow("expected an address that is not in use");
    await expect(store.apply({ ...GOOD, services: [A, B, NEWER] })).rejects.toThrow("that is not in use");
    expect([store.snapshot(), told]).toEqual([GOOD, []]);
  });

  test("withdraws nothing when the change is refused, or only tried", async () => {
    const store = await storeWithGood();
    const odd = { ...NEWER, addresses: [{ address: "10.31.0.1", policy: "closest" }] };
    await expect(store.merge(patchOf(odd))).rejects.toThrow("expected an address within");
    const { after } = await store.previewMerge(patchOf(NEWER));
    expect(after.services[1]?.instances).toEqual([TWO]);
    expect([store.snapshot(), told]).toEqual([GOOD, []]);
  });
});
