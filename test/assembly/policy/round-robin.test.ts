import { describe, expect, test } from "vitest";
import { type Candidate, countEach, LoadedPolicy } from "../../support/policies.ts";
import { Random, testSeed } from "../../support/random.ts";

const SERVICE = 7;

function instances(...numbers: readonly number[]): Candidate[] {
  return numbers.map((instance) => ({ instance }));
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

describe("round robin", () => {
  test("k x n choices in a row give each of n candidates exactly k, wherever they begin", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    for (let n = 1; n <= 50; n += 1) {
      policy.set(n, instances(...upTo(n)));
      policy.choose(n, n * 2_654_435_761); // the first turn falls anywhere
      for (const k of [1, 2, 7]) {
        const counts = countEach(policy.chooseMany(n, k * n));
        expect([...counts.values()], `n = ${n}, k = ${k}`).toEqual(Array(n).fill(k));
      }
    }
  });

  test.each([1, 2, 3, 7, 100, 599, 600])("100,000 flows over %i instances differ by one at most", async (n) => {
    const policy = await LoadedPolicy.load("round-robin");
    policy.set(SERVICE, instances(...upTo(n)));
    const counts = [...countEach(policy.chooseMany(SERVICE, 100_000)).values()];
    expect(counts).toHaveLength(n);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  test("100,000 flows while up to 600 instances come, go, drain and change weight: each is the next one in turn", async () => {
    const random = new Random(testSeed(10));
    const policy = await LoadedPolicy.load("round-robin");
    let takers: number[] = [];
    let last: number | undefined;
    for (let flow = 0; flow < 100_000; flow += 1) {
      if (flow % 500 === 0) {
        const present = upTo(600).filter(() => random.chance(random.pick([0.01, 0.5, 1])));
        const list = present.map((instance) => ({
          instance,
          weight: random.between(1, 65_535),
          isDraining: random.chance(0.1),
        }));
        policy.set(SERVICE, random.chance(0.5) ? list : list.toReversed());
        takers = list.filter(({ isDraining }) => !isDraining).map(({ instance }) => instance);
      }
      const chosen = policy.choose(SERVICE);
      const next = takers.find((instance) => last !== undefined && instance > last) ?? takers[0];
      if (chosen !== next) expect.fail(`flow ${flow}: ${chosen} after ${last} instead of ${next}`);
      last = chosen ?? last;
    }
  });

  test("a refresh with the same candidates does not disturb the rotation", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    const chosen: (number | undefined)[] = [];
    for (let turn = 0; turn < 70; turn += 1) {
      if (turn % 3 === 0) policy.set(SERVICE, instances(...upTo(7)));
      chosen.push(policy.choose(SERVICE));
    }
    expect([...countEach(chosen).values()]).toEqual(Array(7).fill(10));
  });

  test("the first turn follows the flow's hash, so that workers do not all begin with one instance", async () => {
    for (const [flowHash, expected] of [
      [0, 0],
      [4, 1],
      [-1, 0], // 0xffffffff = 3 x 1431655765
    ] as const) {
      const policy = await LoadedPolicy.load("round-robin");
      policy.set(SERVICE, instances(0, 1, 2));
      expect(policy.choose(SERVICE, flowHash)).toBe(expected);
    }
  });

  test("the order of the candidates does not matter", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    policy.set(SERVICE, instances(30, 10, 40, 20));
    const first = policy.chooseMany(SERVICE, 2);
    policy.set(SERVICE, instances(20, 40, 10, 30));
    expect([...first, ...policy.chooseMany(SERVICE, 3)]).toEqual([10, 20, 30, 40, 10]);
  });

  test.each([
    { change: "an instance is added behind", now: [1, 2, 3, 4], next: [3, 4, 1, 2] },
    { change: "an instance is added in front", now: [0, 1, 2, 3], next: [3, 0, 1, 2] },
    { change: "the last chosen is gone", now: [1, 3], next: [3, 1, 3] },
    { change: "the next one is gone", now: [1, 2], next: [1, 2, 1] },
    { change: "all are new and higher", now: [8, 9], next: [8, 9, 8] },
    { change: "all are new and lower", now: [0], next: [0, 0] },
  ])("goes on after the instance that was chosen last when $change", async ({ now, next }) => {
    const policy = await LoadedPolicy.load("round-robin");
    policy.set(SERVICE, instances(1, 2, 3));
    expect(policy.chooseMany(SERVICE, 2)).toEqual([1, 2]);
    policy.set(SERVICE, instances(...now));
    expect(policy.chooseMany(SERVICE, next.length)).toEqual(next);
  });

  test("goes on when there was nobody to choose for a while", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    policy.set(SERVICE, instances(1, 2, 3));
    policy.choose(SERVICE);
    policy.set(SERVICE, []);
    expect(policy.choose(SERVICE)).toBeUndefined();
    policy.set(SERVICE, instances(1, 2, 3));
    expect(policy.choose(SERVICE)).toBe(2);
  });

  test("draining and unhealthy candidates get no flows, the others share exactly", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    policy.set(SERVICE, [
      { instance: 0 },
      { instance: 1, isDraining: true },
      { instance: 2 },
      { instance: 3, isHealthy: false },
      { instance: 4 },
    ]);
    expect(countEach(policy.chooseMany(SERVICE, 30))).toEqual(new Map([0, 2, 4].map((instance) => [instance, 10])));
    policy.set(SERVICE, [{ instance: 0, isDraining: true }]);
    expect(policy.choose(SERVICE)).toBeUndefined();
  });

  test("services rotate independently of each other", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    const services = upTo(1000);
    for (const service of services) policy.set(service, instances(...upTo(1 + (service % 5))));
    const chosen = services.map((): (number | undefined)[] => []);
    for (let turn = 0; turn < 60; turn += 1)
      for (const service of services) chosen[service]?.push(policy.choose(service));
    for (const service of services) {
      const n = 1 + (service % 5);
      expect([...countEach(chosen[service] ?? []).values()]).toEqual(Array(n).fill(60 / n));
    }
  });

  test("a service that was never reserved has no choice", async () => {
    const policy = await LoadedPolicy.load("round-robin");
    expect(policy.exports.choose(1, 0, 0)).toBe(-1);
    expect(policy.exports.update(1, 1)).not.toBe(0);
  });
});
