import { describe, expect, test } from "vitest";
import { POLICY_ABI_VERSION, POLICY_PAGES_MAX, RECORD_SIZE } from "../../../assembly/shared/policies.ts";
import { LoadedPolicy } from "../../support/policies.ts";

function candidates(count: number): { instance: number }[] {
  return Array.from({ length: count }, (_, instance) => ({ instance }));
}

describe("the policy SDK", () => {
  test("says its ABI version", async () => {
    const { exports } = await LoadedPolicy.load("round-robin");
    expect(exports.abiVersion()).toBe(POLICY_ABI_VERSION);
  });

  test("the candidates of services do not overlap", async () => {
    const { exports } = await LoadedPolicy.load("round-robin");
    const areas: { from: number; to: number }[] = [];
    for (let service = 0; service < 300; service += 1) {
      const count = 1 + ((service * 37) % 97);
      const from = exports.reserve(service, count);
      areas.push({ from, to: from + count * RECORD_SIZE });
    }
    areas.sort((a, b) => a.from - b.from);
    areas.forEach(({ from }, index) => {
      expect(from).toBeGreaterThan(0);
      expect(from % 4).toBe(0);
      expect(from).toBeGreaterThanOrEqual(areas[index - 1]?.to ?? 0);
    });
  });

  test("a service that shrinks and grows again takes no further memory", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    for (const count of [1, 600, 3]) policy.set(1, candidates(count));
    const sizeBytes = policy.exports.memory.buffer.byteLength;
    for (let round = 0; round < 1000; round += 1) policy.set(1, candidates(1 + ((round * 211) % 600)));
    expect(policy.exports.memory.buffer.byteLength).toBe(sizeBytes);
    expect(policy.choose(1)).toBe(0);
  });

  test("what a growing service gave back is used for others", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    policy.exports.reserve(1, 10);
    const first = policy.exports.reserve(1, 10);
    policy.exports.reserve(1, 100);
    expect(policy.exports.reserve(2, 10)).toBe(first);
  });

  test("a growing service keeps its place in the rotation", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    policy.set(1, candidates(2));
    expect(policy.choose(1)).toBe(0);
    policy.set(1, candidates(500));
    expect(policy.chooseMany(1, 2)).toEqual([1, 2]);
  });

  test("full memory is answered by 0, and the services that have room go on", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    let count = 0;
    while (policy.set(count, candidates(40))) count += 1;
    expect(count).toBeGreaterThan(4000);
    expect(policy.exports.memory.buffer.byteLength).toBeLessThanOrEqual(POLICY_PAGES_MAX * 65_536);
    for (const service of [0, 1, count - 1]) expect(policy.chooseMany(service, 3)).toEqual([0, 1, 2]);
    expect(policy.set(0, candidates(10))).toBe(true);
    expect(policy.choose(0)).toBe(3);
  });

  test.each([0x7fff_ffff, -1, 1 << 19, 1 << 27])("no room for %i candidates is answered by 0", async (count) => {
    const { exports } = await LoadedPolicy.load("round-robin");
    expect(exports.reserve(1, count)).toBe(0);
  });

  test("update refuses more candidates than were reserved", async () => {
    for (const name of ["round-robin", "closest"]) {
      const { exports } = await LoadedPolicy.load(name);
      exports.reserve(1, 3);
      expect(exports.update(1, 100)).not.toBe(0);
      expect(exports.update(1, -1)).not.toBe(0);
      expect(exports.choose(1, 0, 0)).toBe(-1);
    }
  });
});
