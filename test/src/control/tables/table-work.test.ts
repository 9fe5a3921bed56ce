// What a change costs depends on what it changes, not on what is there: work is counted, not timed.

import { afterEach, expect, test, vi } from "vitest";
import { TableStore } from "../../../../src/control/tables/table-store.ts";
import { Cells } from "../../../../src/memory/cells.ts";
import { createSharedMemory, type SharedMemory } from "../../../../src/memory/shared-memory.ts";
import { TableWriter } from "../../../../src/memory/table-writer.ts";
import { PackedService } from "../../../../src/model/packed-service.ts";
import type { Service, TablesPatch } from "../../../../src/model/tables.ts";
import { NODE_B, RANGES } from "./support/good-tables.ts";

class CountingCells extends Cells {
  stores = 0;

  override u16(at: number, value: number): void {
    this.stores += 1;
    super.u16(at, value);
  }

  override u32(at: number, value: number): void {
    this.stores += 1;
    super.u32(at, value);
  }

  override atomic(at: number, value: number): void {
    this.stores += 1;
    super.atomic(at, value);
  }

  override address(at: number, words: Uint32Array | undefined): void {
    this.stores += 1;
    super.address(at, words);
  }
}

/** What a part of a test did. */
interface Work {
  readonly stores: number; // to the shared memory
  readonly texts: number; // packed services that were read
}

afterEach(() => {
  vi.restoreAllMocks();
});

test("one changed service costs the same among 100 and among 10,000", async () => {
  const [few, many] = [await costOfOne(100), await costOfOne(10_000)];
  expect(many).toEqual(few);
  expect(few.stores).toBeLessThan(20);
  expect(few.texts).toBeLessThan(10);
});

test("other weights are put in force without reading a service as text", async () => {
  const { store, cells } = await storeOf(1000);
  const services = Array.from({ length: 100 }, (_, i) => PackedService.of(serviceOf(i, 2)));
  const patch: TablesPatch = { nodes: [], services, remove: { nodes: [], services: [] }, keepsSome: true };
  expect((await workOf(cells, () => store.merge(patch))).texts).toBe(0);
  expect(store.snapshot().services[99]?.instances[0]?.weight).toBe(2);
});

test("the same tables again cost no store, and no text is read", async () => {
  const { store, cells } = await storeOf(1000);
  const { nodes, services } = store.snapshot();
  expect(await workOf(cells, () => store.apply({ nodes, services }))).toEqual({ stores: 0, texts: 0 });
  const written = Array.from({ length: 1000 }, (_, i) => serviceOf(i, 1));
  expect(await workOf(cells, () => store.apply({ nodes, services: written }))).toEqual({ stores: 0, texts: 0 });
});

test("the services of this node are known without reading the others", async () => {
  const { store, cells } = await storeOf(1000);
  const { instances, ...here } = serviceOf(2000, 1);
  const local = { ...here, instances: instances.map((instance) => ({ ...instance, node: "node-a" })) };
  await store.merge({ nodes: [], services: [local], remove: { nodes: [], services: [] } });
  const namesOf = async () => void expect(store.localServices.map(({ name }) => name)).toEqual([here.name]);
  expect(await workOf(cells, namesOf)).toEqual({ stores: 0, texts: 0 });
  await store.merge({ nodes: [], services: [{ ...here, instances }], remove: { nodes: [], services: [] } });
  expect(store.localServices).toEqual([]);
});

test("how many there are is known without reading one", async () => {
  const { store, cells } = await storeOf(1000);
  const work = await workOf(cells, async () => {
    expect(store.sizes).toEqual({ nodes: 1, services: 1000, addresses: 1000, instances: 1000 });
    expect(store.usage).toMatchObject({ addresses: 2000, instances: 1000 });
  });
  expect(work).toEqual({ stores: 0, texts: 0 });
});

async function costOfOne(count: number): Promise<Work> {
  const { store, cells } = await storeOf(count);
  const patch: TablesPatch = { nodes: [], services: [serviceOf(7, 2)], remove: { nodes: [], services: [] } };
  return workOf(cells, () => store.merge(patch));
}

async function workOf(cells: CountingCells, work: () => Promise<unknown>): Promise<Work> {
  const before = cells.stores;
  const read = vi.spyOn(PackedService.prototype, "unpack");
  await work();
  const texts = read.mock.calls.length;
  read.mockRestore();
  return { stores: cells.stores - before, texts };
}

async function storeOf(count: number) {
  const shared: SharedMemory = createSharedMemory({
    capacities: { flows: 64, addresses: 2 * count + 2, instances: count + 1, workloads: 16, nodes: 4, workers: 1 },
  });
  const cells = new CountingCells(shared);
  const writer = new TableWriter(shared, { nodeId: "node-a", policySlot: () => 0, cells });
  const store = new TableStore(writer, { nodeId: "node-a", ranges: RANGES });
  await store.apply({ nodes: [NODE_B], services: Array.from({ length: count }, (_, i) => serviceOf(i, 1)) });
  return { store, cells };
}

function serviceOf(index: number, weight: number): Service {
  const at = (third: number): string => `10.${third}.${index >> 8}.${index & 255}`;
  return {
    name: `service-${index}`,
    addresses: [{ address: `fdff::1:${(index + 1).toString(16)}`, policy: "closest" }],
    instances: [
      {
        ...{ number: 1, node: NODE_B.id, weight, draining: false },
        namespaceAddresses: [at(18)],
        instanceAddresses: [at(30)],
      },
    ],
  };
}
