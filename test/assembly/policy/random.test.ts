import { expect, test } from "vitest";
import { type Candidate, candidates, LoadedPolicy } from "../../support/policies.ts";
import { Random, testSeed } from "../../support/random.ts";
import { chiSquareOfLimit } from "../../support/statistics.ts";

const SERVICE = 7;
const CHOICES = 100_000;
const COUNTS = [1, 2, 3, 7, 64, 100, 599, 600];

async function load(list: readonly Candidate[]): Promise<LoadedPolicy> {
  const policy = await LoadedPolicy.load("random");
  policy.set(SERVICE, list);
  return policy;
}

/** How often instances 1...count are chosen; anything else would be NaN, which fails every comparison. */
function counted(policy: LoadedPolicy, count: number, flowHash: (flow: number) => number): number[] {
  const counts = new Array<number>(count).fill(0);
  for (let flow = 0; flow < CHOICES; flow += 1) {
    const at = (policy.choose(SERVICE, flowHash(flow)) ?? 0) - 1;
    counts[at] = (counts[at] ?? Number.NaN) + 1;
  }
  return counts;
}

const random = new Random(testSeed(1));
test.each([
  { hashes: "hashes at random", flowHash: () => random.u32() | 0 },
  { hashes: "hashes in sequence", flowHash: (flow: number) => flow },
  { hashes: "one hash for all", flowHash: () => 0 },
])("each of n candidates gets its n-th of the flows, with $hashes", async ({ flowHash }) => {
  for (const n of COUNTS) {
    const counts = counted(await load(candidates(n)), n, flowHash);
    expect(chiSquareOfLimit(counts, Array(n).fill(1)), `n = ${n}`).toBeLessThan(1);
  }
});

test("a choice says nothing about the next one", async () => {
  const n = 7;
  const policy = await load(candidates(n));
  const pairs = new Array<number>(n * n).fill(0);
  let before = policy.choose(SERVICE) ?? 0;
  for (let flow = 0; flow < CHOICES; flow += 1) {
    const chosen = policy.choose(SERVICE, flow) ?? 0;
    const pair = (before - 1) * n + chosen - 1;
    pairs[pair] = (pairs[pair] ?? Number.NaN) + 1;
    before = chosen;
  }
  expect(chiSquareOfLimit(pairs, Array(n * n).fill(1))).toBeLessThan(1);
});

test("workers do not choose alike, though their modules begin alike", async () => {
  const [first, second] = [await load(candidates(10)), await load(candidates(10))];
  let alike = 0;
  for (let flow = 0; flow < CHOICES; flow += 1) {
    if (first.choose(SERVICE, 2 * flow) === second.choose(SERVICE, 2 * flow + 1)) alike += 1;
  }
  expect(chiSquareOfLimit([alike, CHOICES - alike], [1, 9])).toBeLessThan(1);
});

test("weights play no part; those that drain or are ill get nothing; a newcomer gets its part at once", async () => {
  const policy = await load([
    { instance: 1, weight: 1000 },
    { instance: 2, isDraining: true },
    { instance: 3 },
    { instance: 4, isHealthy: false },
  ]);
  const before = counted(policy, 4, (flow) => flow);
  expect([before[1], before[3]]).toEqual([0, 0]);
  expect(chiSquareOfLimit([before[0] ?? 0, before[2] ?? 0], [1, 1])).toBeLessThan(1);
  policy.set(SERVICE, candidates(5));
  expect(
    chiSquareOfLimit(
      counted(policy, 5, (flow) => flow),
      Array(5).fill(1),
    ),
  ).toBeLessThan(1);
});

test("nobody to choose is no choice", async () => {
  const policy = await load([{ instance: 1, isDraining: true }]);
  expect(policy.choose(SERVICE)).toBeUndefined();
  expect(policy.choose(99)).toBeUndefined();
});
