import { describe, expect, test } from "vitest";
import {
  ADDRESS_HASH_KEY_WORDS,
  FLOW_HASH_KEY_WORDS,
  FlowState,
  HEADER_ADDRESS_HASH_KEY,
  HEADER_ADDRESS_MASK,
  HEADER_AT,
  HEADER_FLOW_BUCKET_MASK,
  HEADER_FLOW_HASH_KEY,
  HEADER_FLOW_LIMIT,
  HEADER_FLOW_NEXT,
  HEADER_LAYOUT_VERSION,
  HEADER_PROBE_INTERVAL_MS,
  HEADER_RANGE_COUNT,
  HEADER_RANGES,
  HEADER_REGIONS,
  HEADER_SIZE,
  HEADER_TIMEOUTS_MS,
  HEADER_WORKER_COUNT,
  HEADER_WORKLOAD_MASK,
  LAYOUT_VERSION,
  RANGE_SIZE,
  Region,
  WORKER_SIZE,
} from "../../../assembly/shared/layout.ts";
import { createSharedMemory, type SharedMemory } from "../../../src/memory/shared-memory.ts";
import { parsePrefix } from "../../../src/net/address.ts";

function hashKeys(shared: SharedMemory): bigint[] {
  const words = new BigUint64Array(shared.memory.buffer);
  const key = (offset: number, count: number): bigint[] => [
    ...words.subarray((HEADER_AT + offset) / 8, (HEADER_AT + offset) / 8 + count),
  ];
  return [...key(HEADER_FLOW_HASH_KEY, FLOW_HASH_KEY_WORDS), ...key(HEADER_ADDRESS_HASH_KEY, ADDRESS_HASH_KEY_WORDS)];
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
    const header = (offset: number): number | undefined => shared.u32[(HEADER_AT + offset) >>> 2];
    expect(header(HEADER_LAYOUT_VERSION)).toBe(LAYOUT_VERSION);
    expect(header(HEADER_WORKER_COUNT)).toBe(2);
    expect(header(HEADER_FLOW_LIMIT)).toBe(100);
    expect(header(HEADER_FLOW_NEXT)).toBe(1);
    expect(header(HEADER_FLOW_BUCKET_MASK)).toBe(63);
    expect(header(HEADER_ADDRESS_MASK)).toBe(shared.records.addressSlots - 1);
    expect(header(HEADER_WORKLOAD_MASK)).toBe(shared.records.workloadSlots - 1);
    expect(header(HEADER_PROBE_INTERVAL_MS)).toBe(0);
    expect(header(HEADER_TIMEOUTS_MS + 4 * FlowState.tcpClosed)).toBe(7);
    expect(header(HEADER_TIMEOUTS_MS + 4 * FlowState.tcpEstablished)).toBe(86_400_000);
    expect(header(HEADER_RANGE_COUNT)).toBe(2);
    const rangeAt = HEADER_AT + HEADER_RANGES + RANGE_SIZE;
    expect(shared.bytes.slice(rangeAt, rangeAt + RANGE_SIZE)).toEqual(new Uint8Array([...range.bytes, ...range.mask]));
  });

  test("places its regions one after the other, aligned, within the memory", () => {
    const shared = createSharedMemory({ capacities: SMALL });
    let end = HEADER_AT + HEADER_SIZE;
    for (let region = 0; region < Region.count; region++) {
      const at = shared.at(region);
      expect(shared.u32[(HEADER_AT + HEADER_REGIONS + 4 * region) >>> 2]).toBe(at);
      expect(at).toBeGreaterThanOrEqual(end);
      expect(at % 64).toBe(0);
      end = at + 1;
    }
    expect(shared.at(Region.workers) % 4096).toBe(0);
    expect(shared.at(Region.workers) + 2 * WORKER_SIZE).toBeLessThanOrEqual(shared.bytes.length);
  });

  test("draws each word of the hash keys anew, and no two alike", () => {
    const keys = [1, 2].flatMap(() => hashKeys(createSharedMemory({ capacities: SMALL })));
    expect(new Set(keys).size).toBe(2 * (FLOW_HASH_KEY_WORDS + ADDRESS_HASH_KEY_WORDS));
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

  test.each([
    [{ flows: 2_000_000 }, "flows.limit"],
    [{ nodes: 0 }, "tables.nodes"],
    [{ instances: 1.5 }, "tables.instances"],
    [{ workers: 17 }, "tun.queues"],
  ])("%j is refused by the name of its field", (capacities, field) => {
    expect(() => createSharedMemory({ capacities })).toThrow(new RegExp(`^${field}: expected`));
  });
});
