import { expect, test } from "vitest";
import { type Candidate, candidates, LoadedPolicy, weighted } from "../../support/policies.ts";
import { Random, testSeed } from "../../support/random.ts";
import { chiSquareOfLimit } from "../../support/statistics.ts";

const SERVICE = 7;
const CLIENTS = 100_000;

async function load(list: readonly Candidate[]): Promise<LoadedPolicy> {
  const policy = await LoadedPolicy.load("client-affinity");
  policy.set(SERVICE, list);
  return policy;
}

/** Instance of each of so many clients; every flow of a client has another hash. */
function instancesOf(policy: LoadedPolicy, count = CLIENTS): number[] {
  const random = new Random(testSeed(8));
  return Array.from({ length: count }, (_, flow) => policy.choose(SERVICE, flow, random.u32() | 0) ?? 0);
}

function countsOf(chosen: readonly number[], n: number): number[] {
  const counts = new Array<number>(n).fill(0);
  for (const instance of chosen) counts[instance - 1] = (counts[instance - 1] ?? Number.NaN) + 1;
  return counts;
}

test.each([1, 2, 3, 7, 100, 600])("100,000 clients spread over %i instances as chance spreads them", async (n) => {
  const chosen = instancesOf(await load(candidates(n)));
  expect(chiSquareOfLimit(countsOf(chosen, n), Array(n).fill(1))).toBeLessThan(1);
});

test("clients with neighbouring hashes spread as well", async () => {
  const policy = await load(candidates(50));
  const chosen = Array.from({ length: CLIENTS }, (_, client) => policy.choose(SERVICE, 0, client) ?? 0);
  expect(chiSquareOfLimit(countsOf(chosen, 50), Array(50).fill(1))).toBeLessThan(1);
});

test("a client has one instance, whatever the flow, the round-trip times, the node and the order of the instances", async () => {
  const list = weighted(1, 2, 3, 2, 1);
  const policy = await load(list);
  const chosen = instancesOf(policy, 5000);
  expect(instancesOf(policy, 5000)).toEqual(chosen);
  policy.set(SERVICE, list.map((candidate, i) => ({ ...candidate, rttUs: 1000 * i, flows: 9 * i })).toReversed());
  expect(instancesOf(policy, 5000)).toEqual(chosen);
  const other = await load(candidates(300));
  other.set(SERVICE, list);
  expect(instancesOf(other, 5000)).toEqual(chosen);
});

test.each([1, 2, 10, 600])(
  "of %i instances one leaves or drains: its clients move, nobody else; back, and all return",
  async (n) => {
    const list = candidates(n + 1);
    const policy = await load(list);
    const before = instancesOf(policy, 20_000);
    for (const leaving of new Set([1, Math.ceil((n + 1) / 2), n + 1])) {
      for (const now of [
        list.filter(({ instance }) => instance !== leaving),
        list.map(({ instance }) => ({ instance, isDraining: instance === leaving })),
        list.map(({ instance }) => ({ instance, isHealthy: instance !== leaving })),
      ]) {
        policy.set(SERVICE, now);
        const chosen = instancesOf(policy, 20_000);
        const wrong = chosen.filter((instance, client) => {
          const was = before[client];
          return was === leaving ? instance === leaving || instance === 0 : instance !== was;
        });
        expect(wrong).toEqual([]);
      }
      policy.set(SERVICE, list);
      expect(instancesOf(policy, 20_000)).toEqual(before);
    }
  },
);

test("who comes takes its part of the clients from all the others", async () => {
  const policy = await load(candidates(9));
  const before = instancesOf(policy);
  policy.set(SERVICE, candidates(10));
  const now = instancesOf(policy);
  const moved = before.filter((instance, client) => now[client] !== instance);
  expect(now.filter((instance, client) => instance !== before[client] && instance !== 10)).toEqual([]);
  expect(chiSquareOfLimit([moved.length, CLIENTS - moved.length], [1, 9])).toBeLessThan(1);
  expect(chiSquareOfLimit(countsOf(moved, 9), Array(9).fill(1))).toBeLessThan(1);
});

test.each([[[1, 3]], [[5, 1, 1, 10]], [[65_535, 1000]], [Array.from({ length: 100 }, (_, i) => 1 + (i % 10))]])(
  "weights %j are the shares of the clients",
  async (weights) => {
    const chosen = instancesOf(await load(weighted(...weights)));
    expect(chiSquareOfLimit(countsOf(chosen, weights.length), weights)).toBeLessThan(1);
  },
);

test("more weight draws clients to that instance and moves nobody between the others; less gives them back", async () => {
  const policy = await load(weighted(10, 10, 10, 10));
  const before = instancesOf(policy);
  policy.set(SERVICE, weighted(10, 25, 10, 10));
  const now = instancesOf(policy);
  expect(now.filter((instance, client) => instance !== before[client] && instance !== 2)).toEqual([]);
  expect(chiSquareOfLimit(countsOf(now, 4), [10, 25, 10, 10])).toBeLessThan(1);
  policy.set(SERVICE, weighted(10, 10, 10, 10));
  expect(instancesOf(policy)).toEqual(before);
});

test("the least and the greatest weight beside each other", async () => {
  const policy = await load(weighted(1, 65_535));
  const [first = 0, second = 0] = countsOf(instancesOf(policy), 2);
  expect(first).toBeLessThan(20);
  expect(first + second).toBe(CLIENTS);
});

test("nobody to choose is no choice", async () => {
  const policy = await load([{ instance: 1, isDraining: true }]);
  expect(policy.choose(SERVICE)).toBeUndefined();
  expect(policy.choose(99)).toBeUndefined();
});
