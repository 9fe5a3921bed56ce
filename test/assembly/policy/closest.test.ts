import { describe, expect, test } from "vitest";
import { type Candidate, countEach, LoadedPolicy } from "../../support/policies.ts";
import { expectSame } from "../../support/quick-expect.ts";
import { Random, testSeed } from "../../support/random.ts";

const SERVICE = 7;

type Times = readonly [instance: number, rttUs: number, distanceKm?: number];

function measured(...times: readonly Times[]): Candidate[] {
  return times.map(([instance, rttUs, distanceKm]) =>
    distanceKm === undefined ? { instance, rttUs } : { instance, rttUs, distanceKm },
  );
}

/** The instances that get new flows, each once per round; their number is checked to be that. */
function chosenOf(policy: LoadedPolicy): (number | undefined)[] {
  const counts = countEach(policy.chooseMany(SERVICE, 60));
  expect(new Set(counts.values()), "they do not share equally").toEqual(new Set([60 / counts.size]));
  return [...counts.keys()].sort((a, b) => (a ?? -1) - (b ?? -1));
}

describe("closest", () => {
  const local = { isLocal: true };
  const draining = { isDraining: true };
  test.each<{ claim: string; candidates: readonly Candidate[]; chosen: readonly (number | undefined)[] }>([
    { claim: "one candidate", candidates: measured([1, 500_000]), chosen: [1] },
    { claim: "the lowest time", candidates: measured([1, 9000], [2, 3000], [3, 7000]), chosen: [2] },
    {
      claim: "a lower time before a smaller distance",
      candidates: measured([1, 3000, 900], [2, 9000, 1]),
      chosen: [1],
    },
    { claim: "exactly 1 ms behind is equal", candidates: measured([1, 300], [2, 1300], [3, 1301]), chosen: [1, 2] },
    {
      claim: "exactly 20 % behind is equal",
      candidates: measured([1, 10_000], [2, 12_000], [3, 12_001]),
      chosen: [1, 2],
    },
    { claim: "equal times: the distance decides", candidates: measured([1, 300, 50], [2, 1200, 10]), chosen: [2] },
    {
      claim: "1 km farther is as near",
      candidates: measured([1, 300, 11], [2, 300, 10], [3, 300, 11.5]),
      chosen: [1, 2],
    },
    { claim: "an unknown distance is the largest", candidates: measured([1, 300], [2, 300, 20_000]), chosen: [2] },
    { claim: "unknown distances are equal", candidates: measured([1, 300], [2, 300]), chosen: [1, 2] },
    { claim: "a measured time before none", candidates: measured([1, 0, 1], [2, 900_000, 9000]), chosen: [2] },
    {
      claim: "nothing measured: the distance decides",
      candidates: measured([1, 0, 30], [2, 0, 10], [3, 0]),
      chosen: [2],
    },
    { claim: "nothing known: all in turn", candidates: measured([1, 0], [2, 0], [3, 0]), chosen: [1, 2, 3] },
    {
      claim: "the own node before everything",
      candidates: [
        { instance: 1, rttUs: 10, distanceKm: 0 },
        { instance: 2, ...local },
        { instance: 3, ...local },
      ],
      chosen: [2, 3],
    },
    {
      claim: "a draining one on the own node is not there",
      candidates: [
        { instance: 1, rttUs: 100 },
        { instance: 2, ...local, ...draining },
      ],
      chosen: [1],
    },
    {
      claim: "a draining one does not set the best time or distance",
      candidates: [
        { instance: 1, rttUs: 100, distanceKm: 1, ...draining },
        { instance: 2, rttUs: 50_000, distanceKm: 90 },
        { instance: 3, rttUs: 51_000, distanceKm: 90 },
      ],
      chosen: [2, 3],
    },
    {
      claim: "measured ones that drain leave the field to the unmeasured",
      candidates: [{ instance: 1, rttUs: 100, ...draining }, { instance: 2 }],
      chosen: [2],
    },
    { claim: "nobody takes flows", candidates: [{ instance: 1, rttUs: 100, ...draining }], chosen: [undefined] },
    { claim: "no candidates", candidates: [], chosen: [undefined] },
    { claim: "any measured time before none", candidates: measured([1, 0], [2, 0xffff_ffff]), chosen: [2] },
    { claim: "the largest time there is", candidates: measured([1, 0xffff_ffff], [2, 0xffff_fffe]), chosen: [1, 2] },
  ])("$claim", async ({ candidates, chosen }) => {
    for (const order of [candidates, candidates.toReversed()]) {
      const policy = await LoadedPolicy.load("closest");
      policy.set(SERVICE, order);
      expect(chosenOf(policy)).toEqual(chosen);
    }
  });

  // Each step gives the times of instances 1 and 2; both start from a fresh module.
  test.each<{ claim: string; distancesKm: readonly [number, number]; steps: readonly [number, number, number[]][] }>([
    {
      claim: "a time that wavers around the limit does not move the traffic to and fro",
      distancesKm: [50, 10],
      steps: [
        [10_000, 11_900, [2]],
        [10_000, 12_100, [2]],
        [10_000, 11_900, [2]],
        [10_000, 13_000, [2]],
        [10_000, 13_001, [1]],
        [10_000, 12_100, [1]],
        [10_000, 12_000, [2]],
      ],
    },
    {
      claim: "two that share go on sharing while one wavers around the limit",
      distancesKm: [10, 10],
      steps: [
        [300, 1300, [1, 2]],
        [300, 1301, [1, 2]],
        [300, 1800, [1, 2]],
        [300, 1801, [1]],
        [300, 1301, [1]],
        [300, 1300, [1, 2]],
      ],
    },
    {
      claim: "a real difference moves the traffic at once, and back",
      distancesKm: [10, 10],
      steps: [
        [10_000, 40_000, [1]],
        [80_000, 40_000, [2]],
        [10_000, 40_000, [1]],
      ],
    },
    {
      claim: "a node that stops answering loses its flows to one that answers",
      distancesKm: [10, 5000],
      steps: [
        [10_000, 60_000, [1]],
        [0, 60_000, [2]],
        [0, 0, [1]],
      ],
    },
  ])("$claim", async ({ distancesKm, steps }) => {
    const policy = await LoadedPolicy.load("closest");
    for (const [first, second, chosen] of steps) {
      policy.set(SERVICE, measured([1, first, distancesKm[0]], [2, second, distancesKm[1]]));
      expect(chosenOf(policy), `${first} and ${second} us`).toEqual(chosen);
    }
  });

  test("an incumbent is known by its instance number, not by its index, also when the service grows", async () => {
    const policy = await LoadedPolicy.load("closest");
    policy.set(SERVICE, measured([1, 10_000, 50], [2, 11_900, 10]));
    const others = Array.from({ length: 200 }, (_, index): Times => [100 + index, 90_000, 1]);
    policy.set(SERVICE, measured(...others, [2, 12_900, 10], [1, 10_000, 50]));
    expect(chosenOf(policy)).toEqual([2]);
  });
});

/** Runs as many updates with the times of instances 1 and 2, and counts how often the instance chosen changed. */
async function changesOf(updates: number, times: (update: number) => readonly [number, number]): Promise<number> {
  const policy = await LoadedPolicy.load("closest");
  let changes = 0;
  let before: number | undefined;
  for (let update = 0; update < updates; update += 1) {
    const [first, second] = times(update);
    // Distances decide between equal times, so that only one of them gets flows at any moment.
    policy.set(SERVICE, measured([1, first, 50], [2, second, 10]));
    const chosen = policy.choose(SERVICE);
    expectSame(policy.choose(SERVICE), chosen, `the second choice after update ${update}`);
    if (before !== undefined && chosen !== before) changes += 1;
    before = chosen;
  }
  return changes;
}

describe("closest, over 100,000 updates with times that waver", () => {
  const random = new Random(testSeed(9));
  const waver = (base: number, part: number): number =>
    Math.round(base * (1 + (part * (2 * random.below(1000))) / 1000 - part));

  test.each([
    { claim: "as near as each other", base: [10_000, 10_000], part: 0.05 },
    { claim: "within 1 ms on a fast network", base: [300, 500], part: 0.5 },
    { claim: "at the limit of 20 %", base: [10_000, 12_000], part: 0.02 },
    { claim: "far beyond the limit", base: [10_000, 20_000], part: 0.1 },
  ])("$claim: it chooses one for good", async ({ base: [first = 0, second = 0], part }) => {
    // The first updates may be on the one side of the limit or the other, until one has the advantage of being there.
    expect(await changesOf(100_000, () => [waver(first, part), waver(second, part)])).toBeLessThanOrEqual(1);
  });

  test("a real difference is followed with the next update, each time", async () => {
    const updatesPerPhase = 500;
    const isFirstFast = (update: number): boolean => Math.floor(update / updatesPerPhase) % 2 === 0;
    const times = (update: number): readonly [number, number] =>
      isFirstFast(update) ? [waver(5000, 0.05), waver(9000, 0.05)] : [waver(9000, 0.05), waver(5000, 0.05)];
    expect(await changesOf(100_000, times)).toBe(100_000 / updatesPerPhase - 1);
  });
});
