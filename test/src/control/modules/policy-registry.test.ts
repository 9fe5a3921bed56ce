// Names, slots and modules; which trials a module has to pass before it is in force, and that one that fails there is replaced.
import { describe, expect, test } from "vitest";
import { POLICY_SLOT_MAX } from "../../../../assembly/shared/policies.ts";
import { createLogger } from "../../../../src/base/log.ts";
import { loadBuiltModules } from "../../../../src/control/modules/built-modules.ts";
import { PolicyRegistry } from "../../../../src/control/modules/policy-registry.ts";
import type { PolicyOrder } from "../../../../src/dataplane/worker/worker-contract.ts";
import { BUILT_IN_POLICIES } from "../../../../src/model/policy-names.ts";
import { binaryOf, policySource } from "../../../support/policy-source.ts";

const built = await loadBuiltModules(new Date(0));

interface World {
  readonly policies: PolicyRegistry;
  /** What the workers were handed. */
  readonly handed: Omit<PolicyOrder, "kind">[];
  nowMs: number;
  changes: number;
  refusal: Error | undefined;
  readonly uses: Map<string, readonly string[]>;
  readonly files: Map<string, string>;
}

function createWorld(): World {
  const handed: Omit<PolicyOrder, "kind">[] = [];
  const world: World = {
    handed,
    nowMs: 1_000_000,
    changes: 0,
    refusal: undefined,
    uses: new Map(),
    files: new Map(),
    policies: new PolicyRegistry({
      builtIn: built.policies,
      callTimeMs: 50,
      memoryPagesMax: 256,
      candidates: () => [],
      uses: (policy) => world.uses.get(policy) ?? [],
      fileOf: (policy) => world.files.get(policy),
      clock: () => new Date(world.nowMs),
      log: createLogger("info", { write: () => undefined }),
      onChange: () => {
        world.changes += 1;
      },
    }),
  };
  void world.policies.connect(
    {
      handPolicy: async (order) => {
        if (world.refusal !== undefined) throw world.refusal;
        handed.push(order);
        return { tookMs: 2, pauseMs: 1 };
      },
    },
    world.policies.modules(),
  );
  return world;
}

/** Always chooses the first candidate that may be; each number makes another module. */
async function harmless(number: number): Promise<Uint8Array> {
  return binaryOf(policySource({}, `export function number(): i32 { return ${number}; }`));
}

describe("names", () => {
  test("the policies that come with the package have the first slots, each with its module", () => {
    const { policies } = createWorld();
    expect(policies.names).toEqual([...BUILT_IN_POLICIES]);
    expect(policies.modules().map(({ slot, name }) => [slot, name])).toEqual(
      BUILT_IN_POLICIES.map((name, slot) => [slot, name]),
    );
  });

  test("one that is claimed has a slot of its own from then on, and no module", () => {
    const { policies } = createWorld();
    policies.claim("mine");
    policies.claim("yours");
    policies.claim("mine");
    expect([policies.slot("mine"), policies.slot("yours")]).toEqual([7, 8]);
    expect(policies.modules()).toHaveLength(7);
  });

  test("an unknown one is refused with those that are known", () => {
    const { policies } = createWorld();
    policies.claim("mine");
    expect(() => policies.slot("closets")).toThrow(/must be one of client-affinity, .*, mine; found "closets"/);
  });

  test("more than there are slots are refused", () => {
    const world = createWorld();
    const { policies } = world;
    const known = policies.names;
    for (let i = known.length; i < POLICY_SLOT_MAX; i++) {
      world.uses.set(`policy-${i}`, ["10.30.0.1"]);
      policies.claim(`policy-${i}`);
    }
    expect(() => policies.claim("one-more")).toThrow("expected at most 256 policies, found one more: one-more");
  });
});

describe("a module that is loaded", () => {
  test("is handed to the workers under a name that may be new, with its origin", async () => {
    const world = createWorld();
    const bytes = await harmless(1);
    const state = await world.policies.load("mine", bytes, { source: "/srv/mine.wasm", isRemembered: true });
    expect(state).toMatchObject({
      name: "mine",
      slot: 7,
      current: { source: "/srv/mine.wasm", isRemembered: true, bytes, loadedAt: new Date(1_000_000) },
      previous: undefined,
      swap: { tookMs: 2, pauseMs: 1 },
    });
    expect(world.handed).toEqual([{ slot: 7, name: "mine", module: state.current?.module }]);
    expect(world.changes).toBe(1);
  });

  test("takes the place of a built-in one, also by Oakestra's name, and a rollback brings that back", async () => {
    const { policies } = createWorld();
    const before = policies.state("closest").current;
    await policies.load("Closest", await harmless(1), { source: "a", isRemembered: true });
    expect(policies.state("closest")).toMatchObject({ current: { source: "a" }, previous: before });
    expect(await policies.rollback("closest")).toMatchObject({ current: before, previous: undefined });
    await expect(policies.rollback("closest")).rejects.toThrow("The policy closest has no module to go back to.");
  });

  test("is followed by others: a rollback leads to the one before", async () => {
    const { policies } = createWorld();
    await policies.load("mine", await harmless(1), { source: "a", isRemembered: true });
    await policies.load("mine", await harmless(2), { source: "b", isRemembered: true });
    expect(await policies.rollback("mine")).toMatchObject({ current: { source: "a" } });
  });

  test("that a worker cannot start leaves the one before in force", async () => {
    const world = createWorld();
    world.refusal = new Error("no room");
    const before = world.policies.state("closest");
    await expect(
      world.policies.load("closest", await harmless(1), { source: "a", isRemembered: true }),
    ).rejects.toThrow("no room");
    expect(world.policies.state("closest")).toEqual(before);
  });

  test.each([
    [
      "does not return from choose",
      { choose: "export function choose(s: i32, f: i32, c: i32): i32 { while (true) {} }" },
      /failed when it was tried on three alike: choose did not return within 200 ms/,
    ],
    [
      "does not return from update",
      { update: "export function update(s: i32, c: i32): i32 { while (true) {} }" },
      /update did not return within 200 ms/,
    ],
    [
      "traps in choose",
      { choose: "export function choose(s: i32, f: i32, c: i32): i32 { unreachable(); return 0; }" },
      /choose: unreachable/,
    ],
    [
      "chooses what is not there",
      { choose: "export function choose(s: i32, f: i32, c: i32): i32 { return 3; }" },
      /choose answered 3 of 3 candidates/,
    ],
    [
      "refuses its candidates",
      { update: "export function update(s: i32, c: i32): i32 { return 2; }" },
      /update answered 2 for 3 candidates/,
    ],
    [
      "has no room for them",
      { reserve: "export function reserve(s: i32, c: i32): i32 { return 0; }" },
      /reserve answered 0 for 3 candidates/,
    ],
  ])("that %s when it is tried is refused", async (_what, functions, says) => {
    const world = createWorld();
    await expect(
      world.policies.load("mine", await binaryOf(policySource(functions)), { source: "a", isRemembered: true }),
    ).rejects.toMatchObject({
      code: "module-refused",
      message: expect.stringMatching(says),
    });
    expect(world.handed).toEqual([]);
    expect(world.policies.names).not.toContain("mine");
  });

  test.each([
    ["under a name of other characters", "My policy", Uint8Array.of(0), "usage"],
    ["with more than 8 MiB", "mine", new Uint8Array(8 * 2 ** 20 + 1), "module-refused"],
    ["of one byte", "mine", Uint8Array.of(0), "module-refused"],
  ])("%s is refused", async (_what, name, bytes, code) => {
    await expect(createWorld().policies.load(name, bytes, { source: "a", isRemembered: true })).rejects.toMatchObject({
      code,
    });
  });
});

test("what changed between the start of the workers and connecting to them is handed over then", async () => {
  const world = createWorld();
  const given = world.policies.modules();
  const { current } = await world.policies.load("closest", await harmless(1), { source: "a", isRemembered: true });
  world.handed.length = 0;
  const again: Omit<PolicyOrder, "kind">[] = [];
  const handPolicy = async (order: Omit<PolicyOrder, "kind">) => {
    again.push(order);
    return { tookMs: 0, pauseMs: 0 };
  };
  await world.policies.connect({ handPolicy }, given);
  expect(again).toEqual([{ slot: 1, name: "closest", module: current?.module }]);
});

describe("a module that takes too much of a worker's time", () => {
  const says =
    "took most of the time when policies had more than 50 % of a worker's over a second, and was taken out of force";

  test("is replaced by the one before, and named as the fault", async () => {
    const world = createWorld();
    await world.policies.load("mine", await harmless(1), { source: "a", isRemembered: true });
    const { slot } = await world.policies.load("mine", await harmless(2), { source: "b", isRemembered: true });
    world.policies.onGreedy(slot);
    expect(world.policies.state("mine")).toMatchObject({
      current: { source: "a" },
      overdue: 0,
      greedy: 1,
      fault: { message: says },
    });
    expect(world.handed.at(-1)?.module).toBe(world.policies.state("mine").current?.module);
  });

  test("is banned when it was taken out of force three times within a minute", async () => {
    const world = createWorld();
    const bytes = await harmless(1);
    for (let i = 0; i < 3; i++)
      world.policies.onGreedy((await world.policies.load("mine", bytes, { source: "a", isRemembered: true })).slot);
    await expect(world.policies.load("mine", bytes, { source: "a", isRemembered: true })).rejects.toThrow(
      /is banned until the proxy ends/,
    );
  });

  test("but comes with the package stays", () => {
    const world = createWorld();
    world.policies.onGreedy(world.policies.slot("closest"));
    expect(world.policies.state("closest")).toMatchObject({ current: { source: "built-in" }, fault: undefined });
  });
});

describe("a module that does not return in a worker", () => {
  test("is replaced by the one before, and named as the fault", async () => {
    const world = createWorld();
    await world.policies.load("mine", await harmless(1), { source: "a", isRemembered: true });
    const { slot } = await world.policies.load("mine", await harmless(2), { source: "b", isRemembered: true });
    expect(world.policies.onOverdue(slot, 1)).toBe(true);
    expect(world.policies.state("mine")).toMatchObject({
      current: { source: "a" },
      overdue: 1,
      fault: { message: "did not return within 50 ms, and was taken out of force" },
    });
    expect(world.handed.at(-1)?.module).toBe(world.policies.state("mine").current?.module);
  });

  test("and has none before it leaves the choice to the engine", async () => {
    const world = createWorld();
    const { slot } = await world.policies.load("mine", await harmless(1), { source: "a", isRemembered: true });
    expect(world.policies.onOverdue(slot, 1)).toBe(true);
    expect(world.handed.at(-1)).toEqual({ slot, name: "mine", module: undefined });
    expect(world.policies.names).toContain("mine");
  });

  test("but comes with the package stays; its worker is ended when it had ten times the limit", () => {
    const world = createWorld();
    const slot = world.policies.slot("closest");
    expect([1, 9, 10].map((times) => world.policies.onOverdue(slot, times))).toEqual([false, false, true]);
    expect(world.policies.state("closest")).toMatchObject({
      current: { source: "built-in" },
      overdue: 1,
      fault: { message: "did not return within 500 ms" },
    });
    expect(world.handed).toEqual([]);
  });

  test("and is called by a worker that has not got to its end yet takes nothing else along", () => {
    expect(createWorld().policies.onOverdue(200, 1)).toBe(true);
  });

  test.each([
    [20_000, true],
    [30_000, false],
  ])("three times, %i ms apart: banned is %s", async (apartMs, isBanned) => {
    const world = createWorld();
    const bytes = await harmless(1);
    for (let i = 0; i < 3; i++) {
      const { slot } = await world.policies.load("mine", bytes, { source: "a", isRemembered: true });
      world.policies.onOverdue(slot, 1);
      world.nowMs += apartMs;
    }
    const again = world.policies.load("yours", bytes, { source: "a", isRemembered: true });
    if (isBanned)
      await expect(again).rejects.toThrow(/is banned until the proxy ends: it was taken out of force 3 times/);
    else await expect(again).resolves.toMatchObject({ name: "yours" });
    await expect(
      world.policies.load("yours", await harmless(2), { source: "a", isRemembered: true }),
    ).resolves.toBeDefined();
  });
});

/** Sixteen bytes of each choice. */
const LEAKING = `
let kept: i32 = 65536;
export function choose(service: i32, f: i32, c: i32): i32 {
  kept += 16;
  if (kept > memory.size() << 16) memory.grow(1);
  return load<i32>(64 + ((service & 127) << 2)) - 1;
}`;

describe("what a trial finds fault with", () => {
  const choosing = (body: string): string => `export function choose(service: i32, f: i32, c: i32): i32 { ${body} }`;
  const forceable = "It can be loaded with --force.";
  test.each([
    ["chooses one that drains", choosing("return 0;"), /on all drain: choose answered instance 1, which drains/],
    ["answers none", choosing("return -1;"), /choose answered -1, though there are candidates that take new flows/],
    [
      "takes long",
      choosing("let h: u64 = f; for (let i = 0; i < 200000; i++) h = h * 31 + 7; if (h == 1) return -1; return 0;"),
      /a choice took \d+ µs in the mean of 200, of 100 µs/,
    ],
    ["keeps something of each choice", LEAKING, /it grew from \d+ to \d+ bytes in the second half/],
  ])("and an order may accept, of a module that %s, is refused without it", async (_what, choose, says) => {
    const { policies } = createWorld();
    const bytes = await binaryOf(policySource({ choose }), { maximumMemory: 200 });
    const options = { source: "a", isRemembered: true };
    await expect(policies.load("mine", bytes, options)).rejects.toMatchObject({
      code: "module-refused",
      message: expect.stringMatching(new RegExp(`${says.source}.*${forceable}$`)),
    });
    await expect(policies.load("mine", bytes, { ...options, isForced: true })).resolves.toMatchObject({ name: "mine" });
  });

  test("and would harm others is refused, whatever the order says", async () => {
    const bytes = await binaryOf(policySource({ choose: choosing("return 700;") }));
    const load = createWorld().policies.load("mine", bytes, { source: "a", isRemembered: true, isForced: true });
    await expect(load).rejects.toThrow(/choose answered 700 of 3 candidates\.$/);
  });
});

describe("unloading", () => {
  const loaded = async (name: string, world = createWorld()): Promise<World> => {
    await world.policies.load(name, await harmless(1), { source: "a", isRemembered: true });
    await world.policies.load(name, await harmless(2), { source: "b", isRemembered: true });
    return world;
  };

  test("brings the module of the package back, at once", async () => {
    const world = await loaded("closest");
    await world.policies.unload("closest");
    expect(world.policies.state("closest")).toMatchObject({ current: { source: "built-in" }, previous: undefined });
    expect(world.handed.at(-1)?.module).toBe(world.policies.state("closest").current?.module);
    await expect(world.policies.unload("closest")).rejects.toThrow("has the module of the package; none is loaded");
  });

  test("takes away a name that is not of the package; its slot is another one's then", async () => {
    const world = await loaded("mine");
    const { slot } = world.policies.state("mine");
    await world.policies.unload("mine");
    expect(world.policies.names).not.toContain("mine");
    expect(world.handed.at(-1)).toEqual({ slot, name: "mine", module: undefined });
    await expect(world.policies.unload("mine")).rejects.toMatchObject({ code: "not-found" });
    world.policies.claim("yours");
    expect(world.policies.slot("yours")).toBe(slot);
  });

  test("is refused as long as something needs the name, with what needs it", async () => {
    const world = await loaded("mine");
    world.uses.set("mine", ["10.30.0.1", "10.30.0.2", "10.30.0.3", "10.30.0.4", "10.30.0.5", "10.30.0.6"]);
    await expect(world.policies.unload("mine")).rejects.toThrow(
      "cannot be unloaded while it is needed by 10.30.0.1, 10.30.0.2, 10.30.0.3, 10.30.0.4, 10.30.0.5 and 1 more.",
    );
    world.files.set("mine", "/etc/mine.wasm");
    await expect(world.policies.unload("mine")).rejects.toThrow('has its file /etc/mine.wasm under "policies"');
    expect(world.policies.state("mine").current?.source).toBe("b");
  });

  test("makes room; names that nobody needs fall away by themselves", async () => {
    const world = createWorld();
    const { policies } = world;
    for (let i = policies.names.length; i < POLICY_SLOT_MAX; i++) {
      world.uses.set(`policy-${i}`, ["10.30.0.1"]);
      policies.claim(`policy-${i}`);
    }
    const load = async (name: string) => policies.load(name, await harmless(1), { source: "a", isRemembered: true });
    await expect(load("one-more")).rejects.toMatchObject({
      code: "capacity-exceeded",
      message: expect.stringContaining('"sapwood policy unload" removes one'),
    });
    world.uses.delete("policy-100");
    await expect(load("one-more")).resolves.toMatchObject({ slot: 100 });
    expect(policies.names).not.toContain("policy-100");
    world.uses.delete("policy-101");
    await policies.unload("policy-101");
    await expect(load("another")).resolves.toMatchObject({ slot: 101 });
  });
});
