import { expect, test } from "vitest";
import { POLICY_SLOT_MAX } from "../../../assembly/shared/policies.ts";
import { loadBuiltModules } from "../../../src/control/built-modules.ts";
import { BUILT_IN_POLICIES } from "../../../src/control/policy-names.ts";
import { PolicyRegistry } from "../../../src/control/policy-registry.ts";

async function createRegistry(): Promise<PolicyRegistry> {
  return new PolicyRegistry((await loadBuiltModules(new Date(0))).policies);
}

test("the policies that come with the package have the first slots, each with its module", async () => {
  const registry = await createRegistry();
  expect(registry.names).toEqual([...BUILT_IN_POLICIES]);
  expect(registry.modules().map(({ slot, name }) => [slot, name])).toEqual(
    BUILT_IN_POLICIES.map((name, slot) => [slot, name]),
  );
});

test("a name that is claimed has a slot of its own from then on, and no module", async () => {
  const registry = await createRegistry();
  registry.claim("mine");
  registry.claim("yours");
  registry.claim("mine");
  expect([registry.slot("mine"), registry.slot("yours")]).toEqual([7, 8]);
  expect(registry.modules()).toHaveLength(7);
});

test("an unknown name is refused with those that are known", async () => {
  const registry = await createRegistry();
  registry.claim("mine");
  expect(() => registry.slot("closets")).toThrow(/must be one of client-affinity, .*, weighted, mine; found "closets"/);
});

test("more names than slots are refused", async () => {
  const registry = await createRegistry();
  const known = registry.names;
  for (let i = known.length; i < POLICY_SLOT_MAX; i++) registry.claim(`policy-${i}`);
  expect(() => registry.claim("one-more")).toThrow("expected at most 256 policies, found one more: one-more");
});
