// A policy in another language, kept as WebAssembly text: the host takes it like one of its own.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EXAMPLE_SETS } from "../../../src/control/modules/candidate-sets.ts";
import { tryPolicy } from "../../../src/dataplane/modules/module-trial.ts";
import { checkPolicy, instantiatePolicy } from "../../../src/dataplane/modules/policy-module.ts";
import { candidates, LoadedPolicy } from "../../support/policies.ts";
import { Random, testSeed } from "../../support/random.ts";
import { assemble } from "../../support/wat.ts";

const BYTES = assemble(readFileSync(new URL("./power-of-two.wat", import.meta.url), "utf8"));
const MODULE = new WebAssembly.Module(BYTES);
const SERVICE = 7;
const NAME = "power-of-two";

function load(): LoadedPolicy {
  checkPolicy(MODULE, NAME);
  return new LoadedPolicy(instantiatePolicy(MODULE, NAME));
}

test("it imports nothing at all", () => {
  expect(WebAssembly.Module.imports(MODULE)).toEqual([]);
});

test("of the two that the hash points at, the one with fewer flows is chosen", () => {
  const policy = load();
  policy.set(SERVICE, [{ instance: 10 }, { instance: 11, isDraining: true }, { instance: 12 }, { instance: 13 }]);
  policy.setFlows(SERVICE, [5, 0, 4, 6]);
  const chosen = [0x0000_0000, 0x0001_0000, 0x0000_0001, 0x0002_0000, 0x0002_0001, 0x0005_0003];
  expect(chosen.map((flowHash) => policy.choose(SERVICE, flowHash))).toEqual([10, 12, 12, 10, 12, 10]);
});

test.each([1, 2, 3, 100, 600])(
  "100,000 flows that stay lie closer together on %i instances than chance has them",
  (n) => {
    const random = new Random(testSeed(21));
    const policy = load();
    policy.set(SERVICE, candidates(n));
    const flows = new Array<number>(n).fill(0);
    for (let flow = 0; flow < 100_000; flow += 1) {
      policy.setFlows(SERVICE, flows);
      const at = (policy.choose(SERVICE, random.u32() | 0) ?? 0) - 1;
      flows[at] = (flows[at] ?? Number.NaN) + 1;
    }
    // The most loaded one is ahead of the mean by about log2 log2 n; at random it would be by 4 * sqrt(100,000 / n).
    expect(Math.max(...flows) - 100_000 / n).toBeLessThan(8);
  },
);

test("services that come, grow and shrink keep their own candidates, until there is no room", () => {
  const policy = load();
  for (let service = 0; service < 1024; service += 1) policy.set(service, [{ instance: service }]);
  expect(policy.set(1024, candidates(1))).toBe(false);
  for (const count of [300, 2, 1]) {
    policy.set(5, candidates(count));
    expect([1, 4, 5, 6].map((service) => policy.choose(service, 0))).toEqual([1, 4, 1, 6]);
  }
});

test("a trial finds nothing to say against it", async () => {
  const plan = { name: NAME, sets: EXAMPLE_SETS, flows: 1000, timeLimitMs: 1000 };
  const { outcomes, violations } = await tryPolicy(BYTES, plan);
  expect(violations).toEqual([]);
  expect(outcomes.map(({ flows }) => flows)).toEqual(EXAMPLE_SETS.map(() => 1000));
});
