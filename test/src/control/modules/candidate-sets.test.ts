// Candidates for trials of policies: as a person writes them, and as a running proxy tells them.

import { describe, expect, test } from "vitest";
import { candidateText, readCandidateSets } from "../../../../src/control/modules/candidate-sets.ts";
import { PLAIN_CANDIDATE } from "../../../../src/dataplane/modules/candidate-record.ts";
import { FakeSource } from "../../../support/control-source.ts";

const read = (text: string, nodes?: string) =>
  readCandidateSets(
    { text, fileName: "c.yaml" },
    nodes === undefined ? undefined : { text: nodes, fileName: "n.json" },
  );

test("a number suffices, and everything may be said", () => {
  const text = `
- { number: 1 }
- { number: 2, weight: 5, flows: 7, rttMs: 1.5, distanceKm: 300, isLocal: true, draining: true, healthy: false }
`;
  expect(read(text)).toEqual([
    {
      name: "candidates",
      candidates: [
        { ...PLAIN_CANDIDATE, instance: 1 },
        {
          ...PLAIN_CANDIDATE,
          instance: 2,
          weight: 5,
          flows: 7,
          rttUs: 1500,
          distanceKm: 300,
          isLocal: true,
          isDraining: true,
          isHealthy: false,
        },
      ],
    },
  ]);
});

test("what a proxy prints is one set per service, with the times and distances of its nodes", () => {
  const source = new FakeSource();
  const [set] = read(JSON.stringify(source.instances()), JSON.stringify(source.nodes()));
  const [instance] = source.instances();
  const node = source.nodes().find(({ id }) => id === instance?.node);
  expect(set).toEqual({
    name: instance?.service,
    candidates: [
      {
        ...PLAIN_CANDIDATE,
        instance: instance?.number,
        weight: instance?.weight,
        flows: instance?.flows,
        rttUs: (node?.rttMs ?? 0) * 1000,
        distanceKm: node?.distanceKm,
        isLocal: instance?.isLocal,
        isDraining: instance?.draining,
        isHealthy: instance?.health !== "unhealthy",
      },
    ],
  });
  const healthy = source.instances().map((row) => ({ ...row, health: "healthy" }));
  expect(read(JSON.stringify(healthy))[0]?.candidates[0]).toMatchObject({ isHealthy: true });
  const mixed = "[{ number: 1, service: a }, { number: 1, service: b, node: x }, { number: 2, service: a, node: x }]";
  expect(
    read(mixed, "[{ id: x, rttMs: 2, distanceKm: null }]").map(({ name, candidates }) => [
      name,
      candidates.map(({ instance: number, rttUs }) => [number, rttUs]),
    ]),
  ).toEqual([
    [
      "a",
      [
        [1, 0],
        [2, 2000],
      ],
    ],
    ["b", [[1, 2000]]],
  ]);
});

describe("where a candidate lacks a family there is a set for each family that the service is called in", () => {
  const [four, six] = [
    { hasIpv4: true, hasIpv6: false },
    { hasIpv4: false, hasIpv6: true },
  ];
  test.each([
    [
      "families that are named",
      "- { number: 1, families: [ipv4] }\n- { number: 2, families: [ipv6] }\n- { number: 3 }",
    ],
    [
      "families of the namespace addresses",
      `[{ number: 1, namespaceAddresses: [10.0.0.1] }, { number: 2, namespaceAddresses: ["fc00::1"] }, { number: 3 }]`,
    ],
  ])("%s", (_what, text) => {
    const both = { ...PLAIN_CANDIDATE, instance: 3 };
    expect(read(text)).toEqual([
      {
        name: "candidates, over IPv4",
        candidates: [
          { ...PLAIN_CANDIDATE, instance: 1, ...four },
          { ...PLAIN_CANDIDATE, instance: 2, ...six, isOwnFamily: false },
          both,
        ],
      },
      {
        name: "candidates, over IPv6",
        candidates: [
          { ...PLAIN_CANDIDATE, instance: 1, ...four, isOwnFamily: false },
          { ...PLAIN_CANDIDATE, instance: 2, ...six },
          both,
        ],
      },
    ]);
  });
});

describe("a mistake is named with line, field, what was expected and what was found", () => {
  test.each([
    [
      "- { number: 1 }\n- { weight: 2 }",
      "c.yaml:2:3: [1].number: expected a whole number, not negative, found nothing",
    ],
    ["- { number: 1, weight: 0 }", "c.yaml:1:16: [0].weight: expected a weight of 1 or more, found the number 0"],
    ["- { number: 1, rtt: 5 }", "[0].rtt: expected one of number, service, weight,"],
    ["- { number: 1, rttMs: -1 }", "c.yaml:1:16: [0].rttMs: expected a number, not negative, found the number -1"],
    ["- { number: 1, families: [ipv5] }", "c.yaml:1:27: [0].families[0]: expected ipv4 or ipv6"],
    ["- { number: 1, families: [] }", "c.yaml:1:16: [0].families: expected at least one family"],
    ["[]", "c.yaml:1:1: expected at least one instance, found an empty list"],
    ["number: 1", "c.yaml:1:1: expected a list of instances, found fields"],
    ["[", "c.yaml:1:2: "],
  ])("%j", (text, said) => {
    expect(() => read(text)).toThrow(said);
  });

  test("also in the nodes", () => {
    expect(() => read("[{ number: 1 }]", "[{ rttMs: 1 }]")).toThrow("n.json:1:2: [0].id: expected text, found nothing");
  });
});

test("a candidate is told with what sets it apart", () => {
  expect(candidateText({ ...PLAIN_CANDIDATE, instance: 1 })).toBe("instance 1");
  const special = { weight: 5, rttUs: 1500, distanceKm: 3, isLocal: true, isDraining: true };
  expect(candidateText({ ...PLAIN_CANDIDATE, instance: 2, ...special })).toBe(
    "instance 2, weight 5, 1.5 ms, 3 km, on this node, draining",
  );
  expect(candidateText({ ...PLAIN_CANDIDATE, instance: 3, isHealthy: false })).toBe("instance 3, ill");
  expect(candidateText({ ...PLAIN_CANDIDATE, instance: 4, hasIpv4: false })).toBe("instance 4, IPv6 only");
});
