import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { candidateText, readCandidateSets } from "../../../src/control/modules/candidate-sets.ts";
import { tryPolicy } from "../../../src/dataplane/modules/module-trial.ts";
import { checkPolicy, instantiatePolicy } from "../../../src/dataplane/modules/policy-module.ts";
import { VIOLATIONS } from "../../../src/dataplane/modules/policy-trial-contract.ts";
import { LoadedPolicy } from "../../support/policies.ts";
import { binaryOf, compileSource } from "../../support/policy-source.ts";

const PAGE = readFileSync(new URL("../../../docs/writing-a-policy.md", import.meta.url), "utf8");
/** The examples are in a folder of `sapwood policy new`. */
const [smallest = "", ownUpdate = ""] = [...PAGE.matchAll(/```ts\n(.*?)```/gs)].map((match) =>
  (match[1] ?? "").replace("./sdk/policy/sdk.ts", "./sdk.ts"),
);

async function load(source: string): Promise<LoadedPolicy> {
  const module = await compileSource(source);
  checkPolicy(module, "example");
  return new LoadedPolicy(instantiatePolicy(module, "example"));
}

test("the smallest policy of the page sends each client to one instance, and has under 20 lines", async () => {
  expect(smallest.trim().split("\n").length).toBeLessThan(20);
  const policy = await load(smallest);
  policy.set(1, [{ instance: 5 }, { instance: 6, isDraining: true }, { instance: 7 }]);
  const chosen = [0, 1, 2, 3, -1].map((clientHash) => [
    policy.choose(1, 1, clientHash),
    policy.choose(1, 2, clientHash),
  ]);
  expect(chosen).toEqual([5, 7, 5, 7, 7].map((instance) => [instance, instance]));
});

test("the page's own update works in the place of the SDK's", async () => {
  const source = smallest
    .replace(
      /import .*/,
      'import { abiVersion, CHOICE_NONE, reserve, Service, UPDATE_DONE, UPDATE_UNKNOWN } from "./sdk.ts";',
    )
    .replace("reserve, update };", "reserve };");
  const policy = await load(`${source}\n${ownUpdate}`);
  policy.set(1, [
    { instance: 5, flows: 1000 },
    { instance: 6, flows: 999 },
  ]);
  expect(policy.choose(1)).toBe(6);
});

test("the page describes every violation that a trial finds", () => {
  expect(VIOLATIONS.filter((kind) => !PAGE.includes(`\`${kind}\``))).toEqual([]);
});

test("the page's candidates are ones that the command takes, and its output is what such a module gives", async () => {
  const [, example = ""] = PAGE.match(/```yaml\n(.*?)```/s) ?? [];
  const sets = readCandidateSets({ text: example, fileName: "three.yaml" });
  const plan = { name: "smallest", sets, flows: 10_000, timeLimitMs: 5000 };
  const { outcomes, violations } = await tryPolicy(await binaryOf(smallest), plan);
  expect(violations).toEqual([]);
  for (const [i, flows] of outcomes[0]?.chosen.entries() ?? []) {
    const candidate = sets[0]?.candidates[i];
    const row = `  ${candidate === undefined ? "" : candidateText(candidate)} +${flows} `;
    expect(PAGE).toMatch(new RegExp(row));
  }
});
