// The family of the call decides among candidates that are equal to a policy, and never against its choice.
import { describe, expect, test } from "vitest";
import { type Candidate, countEach, LoadedPolicy } from "../../support/policies.ts";

const SERVICE = 7;
const OTHER = { isOwnFamily: false };

/** Those that 60 choices fall on, while each flow ends before the next one begins. */
async function chosenOf(name: string, candidates: readonly Candidate[]): Promise<(number | undefined)[]> {
  const policy = await LoadedPolicy.load(name);
  policy.set(SERVICE, candidates);
  const counts = countEach(policy.chooseMany(SERVICE, 60));
  return [...counts.keys()].sort((a, b) => (a ?? -1) - (b ?? -1));
}

const near = { rttUs: 3000, distanceKm: 10 };
const CASES: readonly {
  readonly policy: string;
  readonly claim: string;
  readonly candidates: readonly Omit<Candidate, "instance">[];
  readonly chosen: readonly number[];
}[] = [
  { policy: "closest", claim: "of equally near ones", candidates: [{ ...near, ...OTHER }, near, near], chosen: [2, 3] },
  {
    policy: "closest",
    claim: "of times that count as equal, though it is the longer one",
    candidates: [{ rttUs: 3000, ...OTHER }, { rttUs: 3900 }],
    chosen: [2],
  },
  {
    policy: "closest",
    claim: "of equal ones on this node",
    candidates: [{ isLocal: true, ...OTHER }, { isLocal: true }, near],
    chosen: [2],
  },
  { policy: "closest", claim: "of which nothing is known", candidates: [OTHER, {}, OTHER], chosen: [2] },
  {
    policy: "closest",
    claim: "not before a shorter time",
    candidates: [{ rttUs: 3000, ...OTHER }, { rttUs: 9000 }],
    chosen: [1],
  },
  {
    policy: "closest",
    claim: "not before a shorter distance",
    candidates: [
      { ...near, ...OTHER },
      { ...near, distanceKm: 50 },
    ],
    chosen: [1],
  },
  { policy: "closest", claim: "not before the own node", candidates: [{ isLocal: true, ...OTHER }, near], chosen: [1] },
  {
    policy: "closest",
    claim: "not one that drains",
    candidates: [
      { ...near, ...OTHER },
      { ...near, isDraining: true },
    ],
    chosen: [1],
  },
  { policy: "closest", claim: "all in turn if none has it", candidates: [OTHER, OTHER], chosen: [1, 2] },
  { policy: "least-connections", claim: "of idle ones", candidates: [OTHER, {}, OTHER, {}], chosen: [2, 4] },
  {
    policy: "least-connections",
    claim: "of equally loaded ones",
    candidates: [{ flows: 3, ...OTHER }, { flows: 3 }, { flows: 4 }],
    chosen: [2],
  },
  {
    policy: "least-connections",
    claim: "of those with equally many flows for their weight",
    candidates: [
      { flows: 3, weight: 2, ...OTHER },
      { flows: 1, weight: 1 },
    ],
    chosen: [2],
  },
  {
    policy: "least-connections",
    claim: "not before one with fewer flows",
    candidates: [{ flows: 3, ...OTHER }, { flows: 4 }],
    chosen: [1],
  },
  { policy: "least-connections", claim: "not one that drains", candidates: [OTHER, { isDraining: true }], chosen: [1] },
  { policy: "least-connections", claim: "all in turn if none has it", candidates: [OTHER, OTHER], chosen: [1, 2] },
];

test.each(CASES)("$policy, the family of the call first: $claim", async ({ policy, candidates, chosen }) => {
  const numbered = candidates.map((candidate, i) => ({ ...candidate, instance: i + 1 }));
  for (const order of [numbered, numbered.toReversed()]) expect(await chosenOf(policy, order)).toEqual(chosen);
});

describe("one that was first only for its family goes on to be measured against the others", () => {
  test("closest: times that waver around the limit do not move the traffic to and fro", async () => {
    const policy = await LoadedPolicy.load("closest");
    for (const [otherUs, ownUs, chosen] of [
      [10_000, 11_900, 2],
      [10_000, 12_900, 2],
      [10_000, 13_001, 1],
      [10_000, 12_100, 1],
      [10_000, 11_900, 2],
    ] as const) {
      policy.set(SERVICE, [
        { instance: 1, rttUs: otherUs, ...OTHER },
        { instance: 2, rttUs: ownUs },
      ]);
      expect(new Set(policy.chooseMany(SERVICE, 10)), `${otherUs} and ${ownUs} us`).toEqual(new Set([chosen]));
    }
  });

  test("least-connections: flows still fill up evenly", async () => {
    const policy = await LoadedPolicy.load("least-connections");
    const flows = [0, 0, 0];
    policy.set(SERVICE, [{ instance: 1, ...OTHER }, { instance: 2 }, { instance: 3, ...OTHER }]);
    const chosen = Array.from({ length: 6 }, () => {
      policy.setFlows(SERVICE, flows);
      const instance = policy.choose(SERVICE) ?? 0;
      flows[instance - 1] = (flows[instance - 1] ?? 0) + 1;
      return instance;
    });
    expect([chosen[0], chosen[3]]).toEqual([2, 2]);
    expect(flows).toEqual([2, 2, 2]);
  });
});

test.each(["round-robin", "random", "weighted", "consistent-hash", "client-affinity"])(
  "%s has one answer for each flow, whatever the families",
  async (name) => {
    const answers = await Promise.all(
      [{}, OTHER].map(async (second) => {
        const policy = await LoadedPolicy.load(name);
        policy.set(SERVICE, [{ instance: 1, ...OTHER }, { instance: 2, ...second }, { instance: 3 }]);
        return Array.from({ length: 300 }, (_, flow) => policy.choose(SERVICE, flow * 7919, flow * 104_729));
      }),
    );
    expect(answers[0]).toEqual(answers[1]);
    expect(new Set(answers[0])).toEqual(new Set([1, 2, 3]));
  },
);
