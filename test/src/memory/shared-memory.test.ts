import { describe, expect, test } from "vitest";
import { FlowState } from "../../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as OutlierLayout from "../../../assembly/shared/layout/outlier.ts";
import { LAYOUT_VERSION } from "../../../assembly/shared/layout/version.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { CAPACITY_LIMITS, createSharedMemory, type SharedMemory } from "../../../src/memory/shared-memory.ts";
import { parsePrefix } from "../../../src/net/address.ts";

function hashKeys(shared: SharedMemory): bigint[] {
  const words = new BigUint64Array(shared.memory.buffer);
  const key = (offset: number, count: number): bigint[] => [
    ...words.subarray((HeaderLayout.AT + offset) / 8, (HeaderLayout.AT + offset) / 8 + count),
  ];
  return [
    ...key(HeaderLayout.FLOW_HASH_KEY, HeaderLayout.FLOW_HASH_KEY_WORDS),
    ...key(HeaderLayout.ADDRESS_HASH_KEY, HeaderLayout.ADDRESS_HASH_KEY_WORDS),
  ];
}

const SMALL = { flows: 100, addresses: 10, instances: 10, workloads: 10, nodes: 2, workers: 2 };

describe("the shared memory", () => {
  test("has a header that says what it was made for", () => {
    const range = parsePrefix("fdff::/16");
    const shared = createSharedMemory({
      capacities: SMALL,
      ranges: [parsePrefix("10.30.0.0/16"), range],
      probeIntervalMs: 0,
      timeoutsMs: { tcpClosed: 7 },
    });
    const header = (offset: number): number | undefined => shared.u32[(HeaderLayout.AT + offset) >>> 2];
    expect(header(HeaderLayout.LAYOUT_VERSION)).toBe(LAYOUT_VERSION);
    expect(header(HeaderLayout.WORKER_COUNT)).toBe(2);
    expect(header(HeaderLayout.FLOW_LIMIT)).toBe(100);
    expect(header(HeaderLayout.FLOW_NEXT)).toBe(1);
    expect(header(HeaderLayout.FLOW_BUCKET_MASK)).toBe(63);
    expect(header(HeaderLayout.ADDRESS_MASK)).toBe(shared.records.addressSlots - 1);
    expect(header(HeaderLayout.WORKLOAD_MASK)).toBe(shared.records.workloadSlots - 1);
    expect(header(HeaderLayout.PROBE_INTERVAL_MS)).toBe(0);
    expect(header(HeaderLayout.TIMEOUTS_MS + 4 * FlowState.tcpClosed)).toBe(7);
    expect(header(HeaderLayout.TIMEOUTS_MS + 4 * FlowState.tcpEstablished)).toBe(86_400_000);
    expect(header(HeaderLayout.RANGE_COUNT)).toBe(2);
    const rangeAt = HeaderLayout.AT + HeaderLayout.RANGES + HeaderLayout.RANGE_SIZE;
    expect(shared.bytes.slice(rangeAt, rangeAt + HeaderLayout.RANGE_SIZE)).toEqual(
      new Uint8Array([...range.bytes, ...range.mask]),
    );
  });

  test("places its regions one after the other, aligned, within the memory", () => {
    const shared = createSharedMemory({ capacities: SMALL });
    let end = HeaderLayout.AT + HeaderLayout.SIZE;
    for (let region = 0; region < Region.count; region++) {
      const at = shared.at(region);
      expect(shared.u32[(HeaderLayout.AT + HeaderLayout.REGIONS + 4 * region) >>> 2]).toBe(at);
      expect(at).toBeGreaterThanOrEqual(end);
      expect(at % 64).toBe(0);
      end = at + 1;
    }
    expect(shared.at(Region.workers) % 4096).toBe(0);
    expect(shared.at(Region.workers) + 2 * WorkerLayout.SIZE).toBeLessThanOrEqual(shared.bytes.length);
  });

  test("draws each word of the hash keys anew, and no two alike", () => {
    const keys = [1, 2].flatMap(() => hashKeys(createSharedMemory({ capacities: SMALL })));
    expect(new Set(keys).size).toBe(2 * (HeaderLayout.FLOW_HASH_KEY_WORDS + HeaderLayout.ADDRESS_HASH_KEY_WORDS));
  });

  test("has the same hash keys with the same seed, and others with another one", () => {
    const [first, again, other] = [5, 5, 6].map((hashSeed) =>
      hashKeys(createSharedMemory({ capacities: SMALL, hashSeed })),
    ) as [bigint[], bigint[], bigint[]];
    expect(again).toEqual(first);
    expect(new Set([...first, ...other]).size).toBe(first.length + other.length);
  });

  test("holds what the largest supported tables need", () => {
    const capacities = { flows: 1_000_000, addresses: 2_200_000, instances: 1_000_000, nodes: 8_192, workers: 16 };
    expect(createSharedMemory({ capacities }).records.addressSlots).toBeGreaterThanOrEqual(4_400_000);
  });

  test("holds three million instances of 300,000 services, each by an index that an outlier's key has room for", () => {
    const capacities = { flows: 65_536, addresses: 7_200_000, instances: 3_000_000 };
    expect(() => createSharedMemory({ capacities })).not.toThrow();
    const { max } = CAPACITY_LIMITS.instances;
    const { records } = createSharedMemory({ capacities: { ...SMALL, instances: max } });
    expect(records.instances).toBeLessThanOrEqual(2 ** OutlierLayout.INDEX_BITS);
    expect(() => createSharedMemory({ capacities: { ...SMALL, instances: max + 1 } })).toThrow("tables.instances");
  });

  test.each([
    [{ flows: 2_000_000 }, "flows.limit"],
    [{ nodes: 0 }, "tables.nodes"],
    [{ instances: 1.5 }, "tables.instances"],
    [{ workers: 17 }, "tun.queues"],
  ])("%j is refused by the name of its field", (capacities, field) => {
    expect(() => createSharedMemory({ capacities })).toThrow(new RegExp(`^${field}: expected`));
  });
});
