// The table writer against readers in another thread's place: after every single store, look-ups that began at any
// earlier moment go on, and each must see exactly the tables of the generation in which it began.

import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as ServiceLayout from "../../../assembly/shared/layout/service.ts";
import type { Cells } from "../../../src/memory/cells.ts";
import { createSharedMemory, type SharedMemory } from "../../../src/memory/shared-memory.ts";
import { TableWriter } from "../../../src/memory/table-writer.ts";
import type { Instance, Service } from "../../../src/model/tables.ts";
import { Random, testSeed } from "../../support/random.ts";
import { type Content, difference, mutated, NOTHING, OWN_NODE, POLICIES } from "./support/random-tables.ts";
import { now, TableReader } from "./support/table-reader.ts";
import { awaitWith, type Binding, setSequence, WatchedCells, Workers } from "./support/workers.ts";

const SMALL = { flows: 64, addresses: 32, instances: 16, workloads: 16, nodes: 4, workers: 4 };

function policySlot(name: string): number {
  return POLICIES.indexOf(name);
}

function writerOf(shared: SharedMemory, cells?: Cells): TableWriter {
  return new TableWriter(shared, { nodeId: OWN_NODE, policySlot, ...(cells === undefined ? {} : { cells }) });
}

describe("a worker sees exactly the generation in which it began", () => {
  const seed = testSeed(20);
  test.each([seed, seed + 1, seed + 2, seed + 3])("after every store of 150 random changes (seed %i)", async (seed) => {
    const random = new Random(seed);
    const shared = createSharedMemory({ capacities: SMALL, hashSeed: random.u32() });
    const cells = new WatchedCells(shared);
    const writer = writerOf(shared, cells);
    const workers = new Workers(shared, random);
    workers.contents.set(0, NOTHING);
    cells.onStore = () => workers.go();
    let content = NOTHING;
    for (let generation = 1; generation <= 150; generation++) {
      const before = content;
      content = mutated(random, before);
      workers.contents.set(generation, content);
      for (const binding of workers.bindings) {
        if (binding.goneSince === undefined && !isThere(content, binding)) binding.goneSince = generation;
      }
      await awaitWith(workers, writer.apply(difference(before, content)));
      workers.checkAll();
      // Or the next change waits already while the writer frees what this one left.
      if (random.chance(0.5)) await awaitWith(workers, writer.settled());
      workers.checkAll();
      bindFlows(content, writer, new TableReader(shared), workers.bindings);
    }
    expect(workers.finishedCount).toBeGreaterThan(1_000);
  });

  function isThere(content: Content, { service, instance }: Binding): boolean {
    return content.services.get(service)?.instances.some(({ number }) => number === instance.number) === true;
  }

  function bindFlows(content: Content, writer: TableWriter, reader: TableReader, bindings: Binding[]): void {
    for (const service of content.services.values()) {
      writer.instanceIndices(service.name).forEach((index, i) => {
        const instance = service.instances[i];
        const incarnation = reader.incarnation(index);
        if (instance === undefined) throw new RangeError(`${service.name} has no instance ${i}`);
        const known = bindings.some((one) => one.index === index && one.incarnation === incarnation);
        if (!known) bindings.push({ index, incarnation, service: service.name, instance, goneSince: undefined });
      });
    }
  }
});

describe("generations", () => {
  const instance: Instance = {
    number: 1,
    node: OWN_NODE,
    namespaceAddresses: ["10.18.0.1", "fc00::18:0:1"],
    instanceAddresses: ["10.30.0.3", "fdff::3"],
    weight: 1,
    draining: false,
  };
  const service: Service = {
    name: "b.demo",
    addresses: [
      { address: "10.30.0.2", policy: "round-robin" },
      { address: "fdff:2000::1", policy: "round-robin" },
    ],
    instances: [instance],
  };

  test("a worker that stays in an older generation keeps seeing it, and holds back the one after the next", async () => {
    const shared = createSharedMemory({ capacities: SMALL });
    const writer = writerOf(shared);
    const reader = new TableReader(shared);
    expect(await writer.apply({ setServices: [service] })).toBe(1);
    await writer.settled();
    setSequence(shared, 2, true);
    expect(await writer.apply({ removeServices: ["b.demo"] })).toBe(2);
    let isThird = false;
    const third = writer.apply({ setServices: [{ ...service, instances: [] }] }).then((generation) => {
      isThird = true;
      return generation;
    });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(isThird).toBe(false);
    expect(now(reader.service(1, "10.30.0.2"))).toMatchObject({ candidates: [{ number: 1, isAlive: true }] });
    expect(now(reader.service(2, "10.30.0.2"))).toBeUndefined();
    setSequence(shared, 2, false);
    expect(await third).toBe(3);
    expect(now(reader.service(3, "10.30.0.2"))).toMatchObject({ candidates: [] });
  });

  test("a record is not reused under a worker that may have missed that it was marked as gone", async () => {
    const shared = createSharedMemory({ capacities: SMALL });
    const cells = new WatchedCells(shared);
    const writer = writerOf(shared, cells);
    const reader = new TableReader(shared);
    await writer.apply({ setServices: [service] });
    await writer.settled();
    const [index = 0] = writer.instanceIndices("b.demo");
    const flow = reader.isAlive(2, index, reader.incarnation(index));
    const generation = (): number => Atomics.load(shared.i32, (HeaderLayout.AT + HeaderLayout.GENERATION) >>> 2);
    let hasBegun = false;
    cells.onStore = () => {
      if (generation() !== 2 || hasBegun) return;
      // The publishing store is the first that sees generation 2; the marks come after it.
      hasBegun = true;
      cells.onStore = () => {
        setSequence(shared, 1, true);
        cells.onStore = () => undefined;
      };
    };
    const fresh = { ...instance, namespaceAddresses: ["10.18.0.9"], instanceAddresses: ["10.30.0.9"] };
    const second = writer.apply({ removeServices: ["b.demo"] });
    const third = writer.apply({ setServices: [{ ...service, instances: [fresh] }] });
    expect(await second).toBe(2);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(generation()).toBe(2);
    expect(now(flow)).toBe(false);
    setSequence(shared, 1, false);
    expect(await third).toBe(3);
    expect(writer.instanceIndices("b.demo")).toEqual([index]);
  });

  test("weight and draining change the candidates and not the instance", async () => {
    const shared = createSharedMemory({ capacities: SMALL });
    const writer = writerOf(shared);
    const reader = new TableReader(shared);
    await writer.apply({ setServices: [service] });
    const indices = writer.instanceIndices("b.demo");
    const before = recordOf(shared, 1, reader, "10.30.0.2");
    await writer.apply({ setServices: [{ ...service, instances: [{ ...instance, weight: 7, draining: true }] }] });
    expect(writer.instanceIndices("b.demo")).toEqual(indices);
    expect(now(reader.service(2, "10.30.0.2"))).toMatchObject({ candidates: [{ weight: 7, draining: true }] });
    const after = recordOf(shared, 2, reader, "10.30.0.2");
    expect(after).toEqual({ id: before.id, revision: before.revision + 1 });
  });

  test("another address of an instance changes its record, and the candidates", async () => {
    const shared = createSharedMemory({ capacities: SMALL });
    const writer = writerOf(shared);
    const reader = new TableReader(shared);
    await writer.apply({ setServices: [service] });
    const [index = 0] = writer.instanceIndices("b.demo");
    const before = recordOf(shared, 1, reader, "10.30.0.2");
    const namespaceAddresses = ["10.18.0.2", "fc00::18:0:1"];
    await writer.apply({ setServices: [{ ...service, instances: [{ ...instance, namespaceAddresses }] }] });
    expect(writer.instanceIndices("b.demo")).toEqual([index]);
    expect(now(reader.instance(1, index))).toMatchObject({ namespaceAddresses: instance.namespaceAddresses });
    expect(now(reader.instance(2, index))).toMatchObject({ namespaceAddresses, isAlive: true });
    expect(recordOf(shared, 2, reader, "10.30.0.2")).toEqual({ id: before.id, revision: before.revision + 1 });
  });

  test("an instance that loses its instance addresses and gets others keeps its record", async () => {
    const shared = createSharedMemory({ capacities: SMALL });
    const writer = writerOf(shared);
    const reader = new TableReader(shared);
    const withAddresses = (instanceAddresses: readonly string[]) =>
      writer.apply({ setServices: [{ ...service, instances: [{ ...instance, instanceAddresses }] }] });
    await withAddresses(instance.instanceAddresses);
    const indices = writer.instanceIndices("b.demo");
    await withAddresses([]);
    expect(now(reader.service(2, "10.30.0.3"))).toBeUndefined();
    await withAddresses(["fdff::7"]);
    expect(writer.instanceIndices("b.demo")).toEqual(indices);
    expect(now(reader.service(3, "fdff::7"))).toMatchObject({ kind: "instance", instance: { number: 1 } });
    expect(writer.usage()).toMatchObject({ instances: 1 });
  });

  test("another distance alone is told to the policies, and the same one is not", async () => {
    const shared = createSharedMemory({ capacities: SMALL });
    const writer = writerOf(shared);
    const epoch = (): number => Atomics.load(shared.i32, (HeaderLayout.AT + HeaderLayout.METRICS_EPOCH) >>> 2);
    const withDistance = async (distanceKm: number): Promise<number> => {
      const before = epoch();
      const underlay = { address: "192.0.2.10", port: 50103 };
      await writer.apply({ setNodes: [{ id: "node-b", underlay, distanceKm }] });
      return epoch() - before;
    };
    await withDistance(100.1);
    expect(await withDistance(100.1)).toBe(0);
    expect(await withDistance(7)).toBe(1);
    expect(await withDistance(Number.NaN)).toBe(1);
    expect(await withDistance(Number.NaN)).toBe(0);
  });

  test("an address that goes from one service to another is never unknown", async () => {
    const shared = createSharedMemory({ capacities: SMALL });
    const writer = writerOf(shared);
    const reader = new TableReader(shared);
    await writer.apply({ setServices: [service] });
    const heir = { name: "c.demo", addresses: service.addresses, instances: [] };
    await writer.apply({ setServices: [heir], removeServices: ["b.demo"] });
    expect(now(reader.service(1, "10.30.0.2"))).toMatchObject({ candidates: [{ number: 1 }] });
    expect(now(reader.service(2, "10.30.0.2"))).toMatchObject({ candidates: [] });
    expect(now(reader.service(2, "10.30.0.3"))).toBeUndefined();
  });

  function recordOf(shared: SharedMemory, generation: number, reader: TableReader, address: string) {
    const record = now(reader.record(generation, address));
    const word = (shared.at(Region.services) + record * ServiceLayout.SIZE) >>> 2;
    return {
      id: shared.u32[word + ServiceLayout.ID / 4] ?? 0,
      revision: shared.u32[word + ServiceLayout.REVISION / 4] ?? 0,
    };
  }
});

describe("capacities", () => {
  const capacities = { flows: 64, addresses: 4, instances: 2, workloads: 2, nodes: 1, workers: 1 };
  const instanceOf = (number: number, node = OWN_NODE): Instance => ({
    number,
    node,
    namespaceAddresses: [`10.18.0.${number}`],
    instanceAddresses: [`10.30.1.${number}`],
    weight: 1,
    draining: false,
  });
  const serviceOf = (instances: Instance[], addressCount = 1): Service => ({
    name: "b.demo",
    addresses: Array.from({ length: addressCount }, (_, i) => ({ address: `10.30.0.${i + 1}`, policy: "closest" })),
    instances,
  });
  const nodeOf = (id: string) => ({ id, underlay: { address: "192.0.2.1", port: 50103 }, distanceKm: Number.NaN });

  test.each([
    ["tables.instances", { setServices: [serviceOf([1, 2, 3].map((n) => instanceOf(n, "node-b")))] }, 3],
    ["tables.addresses", { setServices: [serviceOf([instanceOf(1), instanceOf(2)], 3)] }, 5],
    ["tables.nodes", { setNodes: [nodeOf("node-b"), nodeOf("node-c")] }, 2],
    [
      "tables.workloads",
      {
        setServices: [
          serviceOf([
            { ...instanceOf(1), namespaceAddresses: ["10.18.0.1", "fc00::1"] },
            { ...instanceOf(2), namespaceAddresses: ["10.18.0.2"] },
          ]),
        ],
      },
      3,
    ],
  ])("more than %s allows is refused by name and changes nothing", async (field, change, found) => {
    const shared = createSharedMemory({ capacities, hashSeed: 1 });
    const writer = writerOf(shared);
    await writer.apply({ setServices: [serviceOf([instanceOf(1)])] });
    await writer.settled();
    const before = shared.bytes.slice(0, shared.at(Region.flowBuckets));
    await expect(writer.apply(change)).rejects.toMatchObject({
      code: "capacity-exceeded",
      message: expect.stringMatching(new RegExp(`^${field}: expected at most .*, found ${found}$`)),
    });
    expect(shared.bytes.slice(0, shared.at(Region.flowBuckets))).toEqual(before);
    expect(await writer.apply({ removeServices: ["b.demo"] })).toBe(2);
  });

  test.each([
    ["as a whole", 1, 4],
    ["by a tenth at a time", 10, 100],
  ])("full tables can be replaced %s by unheard-of addresses", async (_, parts, rounds) => {
    const count = 1170; // the least favourable: just fits the slots
    const full = { flows: 64, addresses: 2 * count, instances: count, workloads: count, nodes: 1, workers: 1 };
    const shared = createSharedMemory({ capacities: full, hashSeed: testSeed(1) });
    const writer = writerOf(shared);
    for (let round = 0; round < rounds; round++) {
      const setServices: Service[] = [];
      for (let i = 0; i < count; i++) {
        if (round > 0 && i % parts !== round % parts) continue;
        const suffix = `${round}.${i >> 8}.${i & 255}`;
        const instance = {
          ...instanceOf(1),
          namespaceAddresses: [`10.${suffix}`],
          instanceAddresses: [`11.${suffix}`],
        };
        const addresses = [{ address: `12.${suffix}`, policy: "closest" }];
        setServices.push({ name: `s${i}`, addresses, instances: [instance] });
      }
      expect(await writer.apply({ setServices })).toBe(round + 1);
    }
    expect(writer.usage()).toEqual({ addresses: 2 * count, instances: count, workloads: count, nodes: 0 });
  });

  test("an instance on an unknown node is refused and its index is free again", async () => {
    const shared = createSharedMemory({ capacities });
    const writer = writerOf(shared);
    for (let i = 0; i < 20; i++) {
      const change = { setServices: [serviceOf([instanceOf(1), instanceOf(2, "node-x")])] };
      await expect(writer.apply(change)).rejects.toMatchObject({ code: "tables-invalid" });
    }
    expect(await writer.apply({ setServices: [serviceOf([instanceOf(1), instanceOf(2)])] })).toBe(1);
  });
});
