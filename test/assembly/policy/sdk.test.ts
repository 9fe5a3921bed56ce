import { describe, expect, test } from "vitest";
import { POLICY_ABI_VERSION, POLICY_PAGES_MAX, RECORD_SIZE } from "../../../assembly/shared/policies.ts";
import { instantiatePolicy } from "../../../src/dataplane/modules/policy-module.ts";
import { LoadedPolicy } from "../../support/policies.ts";
import { compileSource } from "../../support/policy-source.ts";

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

/** Counts its choices in a map, keeps names in an array of strings, and turns by the SDK's own memory. */
const WITH_STANDARD_LIBRARY = `
import { abiVersion, CHOICE_NONE, reserve, Service, update, allocate } from "./sdk.ts";
export { abiVersion, reserve, update };
const weights = StaticArray.fromArray<u32>([3, 1, 2]);
const counts = new Map<i32, i32>();
const names: string[] = [];
let kept: usize = 0;
export function choose(service: i32, flowHash: i32, _clientHash: i32): i32 {
  const known = Service.find(service);
  if (known == null) return CHOICE_NONE;
  const count = counts.has(service) ? counts.get(service) + 1 : 1;
  counts.set(service, count);
  if (names.length < 300) names.push("service " + service.toString());
  if (kept == 0) { kept = allocate(40); memory.fill(kept, 0xa5, 40); }
  for (let at = kept; at < kept + 40; at++) if (load<u8>(at) != 0xa5) return -2;
  for (let i = 0; i < names.length; i++) if (!names[i].startsWith("service ")) return -3;
  if (weights[0] + weights[1] + weights[2] != 6) return -4;
  return known.next(flowHash);
}
export function countOf(service: i32): i32 { return counts.has(service) ? counts.get(service) : 0; }`;

describe.each(["stub", "minimal", "incremental"])("beside AssemblyScript's own heap of the runtime %s", (runtime) => {
  test("maps, arrays and strings of a policy and the memory of the SDK leave each other alone", async () => {
    const module = await compileSource(WITH_STANDARD_LIBRARY, { runtime, maximumMemory: 64 });
    const exports = instantiatePolicy(module, runtime);
    const policy = new LoadedPolicy(exports);
    for (let round = 0; round < 4; round += 1) {
      for (let service = 0; service < 200; service += 1) {
        policy.set(service, candidates(2 + ((service + 7 * round) % 40)));
        const [first = 0, second] = policy.chooseMany(service, 2);
        expect([first, second].every((chosen) => chosen !== undefined)).toBe(true);
      }
    }
    const { countOf } = exports as unknown as { countOf: (service: number) => number };
    expect(Array.from({ length: 200 }, (_, service) => countOf(service))).toEqual(new Array(200).fill(8));
  });

  test("full memory is answered by 0, again and again", async () => {
    const module = await compileSource(WITH_STANDARD_LIBRARY, { runtime, maximumMemory: 16 });
    const policy = new LoadedPolicy(instantiatePolicy(module, runtime));
    policy.set(0, candidates(3));
    policy.chooseMany(0, 3);
    let count = 1;
    while (policy.set(count, candidates(100))) count += 1;
    expect(count).toBeGreaterThan(100);
    for (let again = 0; again < 10_000; again += 1) expect(policy.exports.reserve(5000, 100)).toBe(0);
    expect(policy.chooseMany(0, 3)).toEqual([0, 1, 2]);
  });
});
