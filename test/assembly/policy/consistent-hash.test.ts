import { describe, expect, test } from "vitest";
import { POLICY_PAGES_MAX } from "../../../assembly/shared/policies.ts";
import { type Candidate, candidates, LoadedPolicy, weighted } from "../../support/policies.ts";
import { Random, testSeed } from "../../support/random.ts";
import { maglevTable } from "../../support/reference/maglev.ts";
import { chiSquareOfLimit, sum } from "../../support/statistics.ts";

const SERVICE = 7;
const ENTRY_COUNT = 65_537;

async function load(list: readonly Candidate[]): Promise<LoadedPolicy> {
  const policy = await LoadedPolicy.load("consistent-hash");
  policy.set(SERVICE, list);
  return policy;
}

/** Instance of every entry of the service's table: flow hashes below ENTRY_COUNT are entries. */
function tableOf(policy: LoadedPolicy, service = SERVICE): Uint32Array {
  return Uint32Array.from({ length: ENTRY_COUNT }, (_, entry) => policy.choose(service, entry) ?? 0);
}

/** Entries in which the tables differ; a matcher would take long over so many. */
function differences(table: Uint32Array, expected: Uint32Array): number {
  return table.filter((instance, entry) => instance !== expected[entry]).length;
}

function countOf(table: Uint32Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const instance of table) counts.set(instance, (counts.get(instance) ?? 0) + 1);
  return counts;
}

/** Part of the entries of those instances that were and are there (all but `changed`) that moved between them. */
function movedPart(before: Uint32Array, now: Uint32Array, changed: ReadonlySet<number>): number {
  let moved = 0;
  let unaffected = 0;
  before.forEach((instance, entry) => {
    if (changed.has(instance) || changed.has(now[entry] ?? 0)) return;
    unaffected += 1;
    if (now[entry] !== instance) moved += 1;
  });
  return moved / unaffected;
}

const COUNTS = [1, 2, 3, 4, 5, 16, 17, 64, 100, 256, 257, 300, 431, 599, 600];

describe("consistent hash", () => {
  test.each(COUNTS)("the table of %i instances is Maglev's, entry by entry, and even within a hundredth", async (n) => {
    const list = candidates(n);
    const table = tableOf(await load(list));
    expect(differences(table, maglevTable(list))).toBe(0);
    const counts = [...countOf(table).values()];
    expect(counts).toHaveLength(n);
    expect(Math.max(...counts) / (ENTRY_COUNT / n)).toBeLessThanOrEqual(1.01);
    expect(Math.min(...counts) / (ENTRY_COUNT / n)).toBeGreaterThanOrEqual(0.99);
  });

  test("all the way to 600 instances: even within a hundredth, and one that leaves moves at most a fiftieth of the others' entries", async () => {
    const random = new Random(testSeed(12));
    for (let n = 2; n <= 600; n += 13) {
      const list = candidates(n).map(({ instance }) => ({ instance: instance + random.below(1000) * 600 }));
      const policy = await load(list);
      const before = tableOf(policy);
      const counts = [...countOf(before).values()];
      const [fewest, most] = [Math.min(...counts), Math.max(...counts)].map((count) => (count * n) / ENTRY_COUNT);
      expect([counts.length, (most ?? 0) <= 1.01, (fewest ?? 0) >= 0.99], `n = ${n}`).toEqual([n, true, true]);
      const { instance: leaving } = random.pick(list);
      policy.set(
        SERVICE,
        list.filter(({ instance }) => instance !== leaving),
      );
      expect(movedPart(before, tableOf(policy), new Set([leaving])), `n = ${n}`).toBeLessThanOrEqual(0.02);
    }
  });

  test("100,000 flows spread as chance spreads them over equal parts", async () => {
    const random = new Random(testSeed(5));
    for (const n of COUNTS) {
      const policy = await load(candidates(n));
      const counts = new Array<number>(n).fill(0);
      for (let flow = 0; flow < 100_000; flow += 1) {
        const at = (policy.choose(SERVICE, random.u32() | 0) ?? 0) - 1;
        counts[at] = (counts[at] ?? Number.NaN) + 1;
      }
      expect(chiSquareOfLimit(counts, Array(n).fill(1)), `n = ${n}`).toBeLessThan(1);
    }
  });

  test.each([2, 3, 10, 50, 100, 200, 400, 600])(
    "of %i instances one leaves, drains or comes back: at most a fiftieth of the others' flows move",
    async (n) => {
      const random = new Random(testSeed(n));
      const list = candidates(n);
      const policy = await load(list);
      const before = tableOf(policy);
      for (const leaving of new Set([1, n, random.between(1, n), random.between(1, n)])) {
        policy.set(
          SERVICE,
          list.filter(({ instance }) => instance !== leaving),
        );
        const without = tableOf(policy);
        expect(countOf(without).has(leaving)).toBe(false);
        expect(movedPart(before, without, new Set([leaving]))).toBeLessThanOrEqual(0.02);
        policy.set(
          SERVICE,
          list.map(({ instance }) => ({ instance, isDraining: instance === leaving })),
        );
        expect(differences(tableOf(policy), without), "draining is as if it had left").toBe(0);
        policy.set(SERVICE, list);
        expect(differences(tableOf(policy), before), "it came back, and all is as it was").toBe(0);
      }
    },
  );

  test("every node answers the same, whatever it saw before and in whatever order it lists the instances", async () => {
    const list = Array.from({ length: 40 }, (_, i) => ({ instance: 3 * i, weight: 1 + (i % 3) }));
    const first = await load(list);
    const second = await load(candidates(100));
    for (let count = 1; count < 40; count += 1) second.set(SERVICE, list.slice(0, count));
    second.set(99, list.toReversed());
    second.set(SERVICE, list.toReversed());
    expect(differences(tableOf(second), tableOf(first))).toBe(0);
    expect(differences(tableOf(second, 99), tableOf(first))).toBe(0);
  });

  test("weights are kept within one entry", async () => {
    const random = new Random(testSeed(6));
    for (const weights of [
      [1, 3],
      [5, 5, 5],
      [1, 65_535],
      Array.from({ length: 300 }, () => random.between(1, 1000)),
    ]) {
      const list = weighted(...weights);
      const table = tableOf(await load(list));
      expect(differences(table, maglevTable(list))).toBe(0);
      const counts = countOf(table);
      weights.forEach((weight, i) => {
        const exact = (ENTRY_COUNT * weight) / sum(weights);
        expect(Math.abs((counts.get(i + 1) ?? 0) - exact)).toBeLessThan(1);
      });
    }
  });

  test("another weight of one instance moves at most 2 % of the others' flows among themselves", async () => {
    const random = new Random(testSeed(7));
    for (const n of [3, 20, 100, 600]) {
      const list = weighted(...Array.from({ length: n }, () => random.between(50, 150)));
      const policy = await load(list);
      const before = tableOf(policy);
      const changed = random.between(1, n);
      policy.set(
        SERVICE,
        list.map((candidate) => (candidate.instance === changed ? { ...candidate, weight: 300 } : candidate)),
      );
      expect(movedPart(before, tableOf(policy), new Set([changed])), `n = ${n}`).toBeLessThanOrEqual(0.02);
    }
  });

  test("new round-trip times and flow counts change nothing", async () => {
    const list = weighted(1, 2, 3);
    const policy = await load(list);
    const before = tableOf(policy);
    policy.set(
      SERVICE,
      list.map((candidate) => ({ ...candidate, rttUs: 77, flows: 5 })),
    );
    expect(differences(tableOf(policy), before)).toBe(0);
  });

  test("nobody to choose is no choice; unhealthy ones are not there", async () => {
    const policy = await load([{ instance: 1, isDraining: true }]);
    expect(policy.choose(SERVICE)).toBeUndefined();
    expect(policy.choose(99)).toBeUndefined();
    policy.set(SERVICE, [{ instance: 1, isHealthy: false }, { instance: 2 }]);
    expect(countOf(tableOf(policy))).toEqual(new Map([[2, ENTRY_COUNT]]));
  });
});

describe("the memory of consistent hash", () => {
  /** Three instances from `first` on: no two services have the same. */
  const distinct = (first: number, count = 3): Candidate[] =>
    Array.from({ length: count }, (_, i) => ({ instance: first + i }));

  /** Services that have room beside each other. */
  async function roomFor(listOf: (service: number) => readonly Candidate[], enough: number): Promise<number> {
    const policy = await LoadedPolicy.load("consistent-hash");
    let count = 0;
    while (count < enough && policy.set(count, listOf(count))) count += 1;
    expect(policy.exports.memory.buffer.byteLength).toBeLessThanOrEqual(POLICY_PAGES_MAX * 65_536);
    return count;
  }

  test.each([
    { instances: 3, tables: 900 },
    { instances: 16, tables: 450 },
    { instances: 250, tables: 190 },
    { instances: 600, tables: 90 },
  ])(
    "has room for $tables services of $instances instances that have nothing in common",
    async ({ instances, tables }) => {
      expect(await roomFor((service) => distinct(service, instances), tables)).toBe(tables);
    },
  );

  test("has room for thousands of services whose instances have the same numbers", async () => {
    expect(await roomFor((service) => candidates(1 + (service % 16)), 20_000)).toBe(20_000);
  });

  test("a service that changes on and on takes no further memory, and one that shares its table does not disturb the other", async () => {
    const policy = await load(candidates(600));
    policy.set(8, candidates(5));
    policy.set(SERVICE, candidates(5));
    const shared = tableOf(policy);
    policy.set(SERVICE, distinct(100));
    expect(differences(tableOf(policy, 8), shared)).toBe(0);
    const sizeBytes = policy.exports.memory.buffer.byteLength;
    for (let round = 0; round < 300; round += 1) policy.set(SERVICE, distinct(round, 1 + ((round * 211) % 600)));
    expect(policy.exports.memory.buffer.byteLength).toBeLessThanOrEqual(2 * sizeBytes);
    expect(differences(tableOf(policy, 8), shared)).toBe(0);
  });

  test("full memory refuses a service; the others go on, and what two give back another gets", async () => {
    const policy = await LoadedPolicy.load("consistent-hash");
    let count = 0;
    while (policy.set(count, distinct(1000 * count, 600))) count += 1;
    expect(policy.choose(count)).toBeUndefined();
    expect(differences(tableOf(policy, 0), maglevTable(distinct(0, 600)))).toBe(0);
    for (const service of [1, 2]) policy.set(service, []);
    expect(policy.set(count, distinct(1000 * count, 600))).toBe(true);
    expect(differences(tableOf(policy, count), maglevTable(distinct(1000 * count, 600)))).toBe(0);
    expect(differences(tableOf(policy, 0), maglevTable(distinct(0, 600)))).toBe(0);
  });
});
