import { expect, test } from "vitest";
import { type Candidate, candidates, LoadedPolicy, weighted } from "../../support/policies.ts";
import { Random, testSeed } from "../../support/random.ts";
import { sum } from "../../support/statistics.ts";

const SERVICE = 7;

/** Instances with their flows; a choice opens a flow. */
class Cluster {
  flows: number[] = [];
  private list: readonly Candidate[] = [];
  private readonly policy: LoadedPolicy;

  constructor(policy: LoadedPolicy) {
    this.policy = policy;
  }

  static async of(list: readonly Candidate[]): Promise<Cluster> {
    const cluster = new Cluster(await LoadedPolicy.load("least-connections"));
    cluster.scale(list);
    return cluster;
  }

  /** Instances that stay keep their flows. */
  scale(list: readonly Candidate[]): void {
    const before = new Map(this.list.map(({ instance }, i) => [instance, this.flows[i] ?? 0]));
    this.list = list;
    this.flows = list.map(({ instance }) => before.get(instance) ?? 0);
    this.policy.set(
      SERVICE,
      list.map((candidate, i) => ({ ...candidate, flows: this.flows[i] ?? 0 })),
    );
  }

  /** Index of the chosen candidate. */
  open(): number | undefined {
    this.policy.setFlows(SERVICE, this.flows);
    const instance = this.policy.choose(SERVICE);
    const index = this.list.findIndex((candidate) => candidate.instance === instance);
    if (instance === undefined) return undefined;
    this.flows[index] = (this.flows[index] ?? 0) + 1;
    return index;
  }

  /** Flows for its weight that an instance would have with another one; infinite if it takes none. */
  cost(index: number): number {
    const { isDraining, isHealthy, weight } = this.list[index] as Candidate;
    if (isDraining === true || isHealthy === false) return Number.POSITIVE_INFINITY;
    return ((this.flows[index] ?? 0) + 1) / (weight ?? 1);
  }
}

test("asks for flow counts of the moment", async () => {
  const { exports } = await LoadedPolicy.load("least-connections");
  expect(exports.liveFlows?.()).toBe(1);
});

test("100,000 choices, while flows end, up to 600 instances come, go, drain and change weight: always one of the least loaded", async () => {
  const random = new Random(testSeed(2));
  const cluster = await Cluster.of(candidates(3));
  for (let choice = 0; choice < 100_000; choice += 1) {
    if (choice % 500 === 0) {
      const count = random.chance(0.05) ? 600 : random.between(1, 40);
      const first = random.between(1, 20);
      cluster.scale(
        Array.from({ length: count }, (_, i) => ({
          instance: first + i,
          weight: random.chance(0.5) ? 1 : random.between(1, 65_535),
          isDraining: random.chance(0.1),
          isHealthy: !random.chance(0.1),
        })),
      );
    }
    const costs = cluster.flows.map((_, i) => cluster.cost(i));
    const least = Math.min(...costs);
    const chosen = cluster.open();
    if (least === Number.POSITIVE_INFINITY) expect(chosen).toBeUndefined();
    else if (costs[chosen ?? -1] !== least) expect.fail(`choice ${choice}: ${costs[chosen ?? -1]} is not ${least}`);
    const ending = random.below(cluster.flows.length);
    if (random.chance(0.9)) cluster.flows[ending] = Math.max(0, (cluster.flows[ending] ?? 0) - random.below(3));
  }
});

test.each([1, 2, 3, 100, 600])("%i idle instances fill up evenly, each in turn", async (n) => {
  const cluster = await Cluster.of(candidates(n));
  for (let round = 1; round <= 5; round += 1) {
    for (let flow = 0; flow < n; flow += 1) cluster.open();
    expect(cluster.flows).toEqual(Array(n).fill(round));
  }
});

test("where flows end at once, equal ones take turns instead of the first getting all", async () => {
  const cluster = await Cluster.of(candidates(5));
  const chosen = Array.from({ length: 10 }, () => {
    const index = cluster.open();
    cluster.flows.fill(0);
    return index;
  });
  expect(chosen).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
});

test("flows stand in proportion to the weights, within one flow", async () => {
  const weights = [1, 2, 3, 10, 500];
  const cluster = await Cluster.of(weighted(...weights));
  const total = 100_000;
  for (let flow = 0; flow < total; flow += 1) cluster.open();
  cluster.flows.forEach((flows, i) => {
    const exact = (total * (weights[i] ?? 0)) / sum(weights);
    expect(Math.abs(flows - exact), `weight ${weights[i]}`).toBeLessThan(weights.length);
  });
});

test("of idle ones the strongest is first", async () => {
  const cluster = await Cluster.of(weighted(1, 3, 2));
  expect(cluster.open()).toBe(1);
});

test("the largest counts there are do not overflow", async () => {
  const cluster = await Cluster.of(weighted(1, 65_535));
  cluster.flows = [0xffff_ffff, 0xffff_fffe];
  expect(cluster.open()).toBe(1);
  cluster.flows = [65_533, 0xffff_ffff];
  expect(cluster.open(), "65,534 to 1 is less than 2^32 to 65,535").toBe(0);
  cluster.flows = [65_537, 0xffff_ffff];
  expect(cluster.open()).toBe(1);
});

test("counts that are still those of the update are used as well", async () => {
  const policy = await LoadedPolicy.load("least-connections");
  policy.set(SERVICE, [
    { instance: 1, flows: 9 },
    { instance: 2, flows: 3 },
    { instance: 3, flows: 1, isDraining: true },
  ]);
  expect(policy.choose(SERVICE)).toBe(2);
});

test("nobody to choose is no choice", async () => {
  const policy = await LoadedPolicy.load("least-connections");
  policy.set(SERVICE, [{ instance: 1, isDraining: true }]);
  expect(policy.choose(SERVICE)).toBeUndefined();
  expect(policy.choose(99)).toBeUndefined();
});
