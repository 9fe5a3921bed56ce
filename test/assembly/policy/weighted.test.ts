import { describe, expect, test } from "vitest";
import { type Candidate, candidates, countEach, LoadedPolicy, weighted } from "../../support/policies.ts";
import { Random, testSeed } from "../../support/random.ts";
import { sum } from "../../support/statistics.ts";

const SERVICE = 7;

async function load(list: readonly Candidate[]): Promise<LoadedPolicy> {
  const policy = await LoadedPolicy.load("weighted");
  policy.set(SERVICE, list);
  return policy;
}

function weightsOf(list: readonly Candidate[]): number[] {
  return list.map(({ weight }) => weight ?? 1);
}

/** That any cycle of choices gives each its weight: the first one counted, then each that begins one choice later. */
function expectExactCycles(chosen: readonly (number | undefined)[], list: readonly Candidate[]): void {
  const length = sum(weightsOf(list));
  const counts = countEach(chosen.slice(0, length));
  expect(counts).toEqual(new Map([...counts.keys()].map((key) => [key, list.find((c) => c.instance === key)?.weight])));
  expect(counts.size).toBe(list.length);
  // From one cycle to the next later one, what leaves at the front comes in at the end.
  expect(chosen.slice(length)).toEqual(chosen.slice(0, chosen.length - length));
}

describe("weighted", () => {
  test("over any cycle of the sum of the weights, each gets exactly its weight", async () => {
    const random = new Random(testSeed(3));
    for (const n of [1, 2, 3, 5, 10, 50, 100, 600]) {
      const list = weighted(...Array.from({ length: n }, () => random.between(1, 20)));
      const policy = await load(list);
      policy.choose(SERVICE, random.u32() | 0); // begins anywhere
      expectExactCycles(policy.chooseMany(SERVICE, 3 * sum(weightsOf(list))), list);
    }
  });

  test("a heavy one's turns are spread as nginx spreads them", async () => {
    const nginx = [1, 1, 2, 1, 3, 1, 1]; // weights 5, 1, 1
    const begins = new Set<number>();
    for (let flowHash = 0; flowHash < 60; flowHash += 1) {
      const policy = await load(weighted(5, 1, 1));
      const first = policy.choose(SERVICE, flowHash) ?? 0;
      const chosen = [first, ...policy.chooseMany(SERVICE, 6)];
      const turned = nginx.map((_, begin) => [...nginx.slice(begin), ...nginx.slice(0, begin)]);
      const mirrored = turned.map((turn) => turn.map((instance) => (instance === 1 ? 1 : 5 - instance)));
      expect([...turned, ...mirrored]).toContainEqual(chosen);
      begins.add(first);
    }
    expect(begins.size, "it always begins with the same one").toBe(3);
  });

  test("100,000 choices stay close to the exact shares at every moment, whatever the weights", async () => {
    const random = new Random(testSeed(4));
    for (const n of [3, 100, 600]) {
      const list = weighted(...Array.from({ length: n }, () => random.between(1, 65_535)));
      const weightSum = sum(weightsOf(list));
      const policy = await load(list);
      const counts = new Array<number>(n).fill(0);
      for (let flow = 1; flow <= 100_000; flow += 1) {
        const at = (policy.choose(SERVICE) ?? 0) - 1;
        counts[at] = (counts[at] ?? Number.NaN) + 1;
        if (flow % 5000 !== 0) continue;
        const off = counts.map((count, i) => Math.abs(count - (flow * (list[i]?.weight ?? 0)) / weightSum));
        expect(Math.max(...off), `n = ${n} after ${flow}`).toBeLessThan(3);
      }
    }
  });

  test("equal weights are a rotation", async () => {
    for (const n of [1, 7, 600]) {
      const policy = await load(candidates(n));
      const chosen = policy.chooseMany(SERVICE, 2 * n);
      expect(new Set(chosen.slice(0, n)).size).toBe(n);
      expect(chosen.slice(n)).toEqual(chosen.slice(0, n));
    }
  });

  test("new round-trip times, flow counts or another order of the candidates do not disturb the cycle", async () => {
    const list = weighted(4, 1, 9, 2);
    const policy = await load(list);
    const chosen: (number | undefined)[] = [];
    for (let flow = 0; flow < 48; flow += 1) {
      const refreshed = list.map((candidate) => ({ ...candidate, rttUs: flow, flows: flow }));
      if (flow % 3 === 0) policy.set(SERVICE, flow % 2 === 0 ? refreshed : refreshed.toReversed());
      chosen.push(policy.choose(SERVICE));
    }
    expectExactCycles(chosen, list);
  });

  test.each<{ change: string; now: readonly Candidate[] }>([
    { change: "a weight changes", now: weighted(4, 1, 30, 2) },
    { change: "an instance comes", now: weighted(4, 1, 9, 2, 5) },
    { change: "an instance goes", now: weighted(4, 1, 9) },
    { change: "many come", now: weighted(...Array.from({ length: 200 }, (_, i) => 1 + (i % 5))) },
  ])("exact from the first choice on when $change", async ({ now }) => {
    const policy = await load(weighted(4, 1, 9, 2));
    policy.chooseMany(SERVICE, 5);
    policy.set(SERVICE, now);
    expectExactCycles(policy.chooseMany(SERVICE, 2 * sum(weightsOf(now))), now);
  });

  test("draining and unhealthy candidates get nothing, the others share by weight", async () => {
    const [first, second, third, fourth] = weighted(4, 1, 9, 2) as [Candidate, Candidate, Candidate, Candidate];
    const policy = await load([first, { ...second, isDraining: true }, { ...third, isHealthy: false }, fourth]);
    expect(countEach(policy.chooseMany(SERVICE, 60))).toEqual(
      new Map([
        [1, 40],
        [4, 20],
      ]),
    );
    policy.set(SERVICE, [{ ...first, isDraining: true }]);
    expect(policy.choose(SERVICE)).toBeUndefined();
    policy.set(SERVICE, [first]);
    expect(policy.choose(SERVICE)).toBe(1);
    expect(policy.choose(99)).toBeUndefined();
  });

  test("services turn independently of each other", async () => {
    const policy = await load(weighted(2, 1));
    policy.set(8, weighted(1, 5));
    const chosen = Array.from({ length: 18 }, () => [policy.choose(SERVICE), policy.choose(8)] as const);
    expect(countEach(chosen.map(([one]) => one)).get(1)).toBe(12);
    expect(countEach(chosen.map(([, other]) => other)).get(2)).toBe(15);
  });

  test("changes take no further memory; full memory is refused, and the services that have room go on", async () => {
    const policy = await load(candidates(600));
    const sizeBytes = policy.exports.memory.buffer.byteLength;
    for (let round = 0; round < 1000; round += 1) policy.set(SERVICE, candidates(1 + ((round * 211) % 600)));
    expect(policy.exports.memory.buffer.byteLength).toBeLessThanOrEqual(2 * sizeBytes);
    let count = 100;
    while (policy.set(count, weighted(2, ...Array(39).fill(1)))) count += 1;
    expect(count).toBeGreaterThan(2000);
    expect(countEach(policy.chooseMany(100, 41)).get(1)).toBe(2);
    expect(policy.choose(count)).toBeUndefined();
  });
});
