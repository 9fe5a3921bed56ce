// Trials of policy modules, well-behaved and hostile: each ends, and says what the module did.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { EXAMPLE_SETS } from "../../../../src/control/modules/candidate-sets.ts";
import { PLAIN_CANDIDATE } from "../../../../src/dataplane/modules/candidate-record.ts";
import { tryPolicy } from "../../../../src/dataplane/modules/module-trial.ts";
import type { CandidateSet, TrialPlan, TrialReport } from "../../../../src/dataplane/modules/policy-trial-contract.ts";
import { builtModulePath } from "../../../../src/dataplane/modules/wasm.ts";
import { BUILT_IN_POLICIES } from "../../../../src/model/policy-names.ts";
import { assemble, policyText } from "../../../support/wat.ts";

/** One drains and one is ill. */
const FOUR: CandidateSet = {
  name: "four",
  candidates: [
    { ...PLAIN_CANDIDATE, instance: 10 },
    { ...PLAIN_CANDIDATE, instance: 11 },
    { ...PLAIN_CANDIDATE, instance: 12, isDraining: true },
    { ...PLAIN_CANDIDATE, instance: 13, isHealthy: false },
  ],
};
/** A limit that a busy machine does not reach by itself. */
const PLAN: TrialPlan = { name: "hostile", sets: [FOUR], flows: 1000, timeLimitMs: 2000 };
/** For calls that do not return. */
const HASTY: TrialPlan = { ...PLAN, timeLimitMs: 25 };

function trial(text: string, plan: TrialPlan = PLAN): Promise<TrialReport> {
  return tryPolicy(assemble(text), plan);
}

const choosing = (body: string): string =>
  policyText({ choose: `(func (export "choose") (param i32 i32 i32) (result i32) ${body})` });
const updating = (body: string): string =>
  policyText({ update: `(func (export "update") (param i32 i32) (result i32) ${body})` });
const reserving = (body: string): string =>
  policyText({ reserve: `(func (export "reserve") (param i32 i32) (result i32) ${body})` });

/** For which calls `value` is other than 0: those from the n-th on. */
const fromCall = (n: number, then: string, before: string): string =>
  policyText(
    {
      choose: `(func (export "choose") (param i32 i32 i32) (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (result i32) (i32.ge_u (global.get $calls) (i32.const ${n})) (then ${then}) (else ${before})))`,
    },
    "(global $calls (mut i32) (i32.const 0))",
  );

describe("a built-in policy", () => {
  test.each(BUILT_IN_POLICIES)("%s keeps the contract on every example", async (name) => {
    const plan = { ...PLAN, name, sets: EXAMPLE_SETS };
    const { outcomes, violations, memoryBytes } = await tryPolicy(
      readFileSync(builtModulePath(`policies/${name}`)),
      plan,
    );
    expect(violations).toEqual([]);
    expect(memoryBytes).toBeGreaterThan(0);
    expect(outcomes.map(({ set }) => set)).toEqual(EXAMPLE_SETS.map((set) => set.name));
    outcomes.forEach(({ flows, chosen, unanswered, nsPerChoice }, i) => {
      const takers = EXAMPLE_SETS[i]?.candidates.filter(({ isDraining }) => !isDraining) ?? [];
      expect(flows).toBe(1000);
      expect(chosen.reduce((sum, count) => sum + count, unanswered)).toBe(1000);
      expect(unanswered).toBe(takers.length === 0 ? 1000 : 0);
      expect(nsPerChoice).toBeGreaterThan(0);
    });
  });

  test("that asks for live flow counts sees those of the trial", async () => {
    const sets = [
      { name: "busy", candidates: FOUR.candidates.map((each, i) => ({ ...each, flows: i === 0 ? 500 : 0 })) },
    ];
    const { outcomes } = await tryPolicy(readFileSync(builtModulePath("policies/least-connections")), {
      ...PLAN,
      sets,
    });
    expect(outcomes[0]?.chosen).toEqual([250, 750, 0, 0]);
  });
});

describe("a call that does not return ends the trial", () => {
  const forever = "(loop $forever (br $forever)) (i32.const 0)";
  const hanging = (name: string): string => `(func (export "${name}") (result i32) ${forever})`;
  test.each<{ where: string; call: string; text: string; set: string | undefined }>([
    { where: "choose", call: "choose", text: choosing(forever), set: "four" },
    { where: "a later choose", call: "choose", text: fromCall(500, forever, "(i32.const 0)"), set: "four" },
    { where: "update", call: "update", text: updating(forever), set: "four" },
    { where: "reserve", call: "reserve", text: reserving(forever), set: "four" },
    { where: "abiVersion", call: "start", text: policyText({ abiVersion: hanging("abiVersion") }), set: undefined },
    { where: "liveFlows", call: "start", text: policyText({}, hanging("liveFlows")), set: undefined },
    {
      where: "the start function",
      call: "start",
      text: policyText({}, "(start $hang) (func $hang (loop $forever (br $forever)))"),
      set: undefined,
    },
  ])("in $where", async ({ call, text, set }) => {
    const { violations } = await trial(text, HASTY);
    expect(violations).toEqual([{ kind: "timeout", set, count: 1, example: `${call} did not return within 100 ms` }]);
  });

  test("and one that takes long is named as slow, if it returns in time", async () => {
    const text = choosing(`(local $i i32)
      (loop $next
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $i) (i32.const 100000000))))
      (i32.const 0)`);
    const { violations } = await trial(text, { ...PLAN, flows: 1, timeLimitMs: 1 });
    expect(["slow", "timeout"]).toContain(violations[0]?.kind);
    const patient = await trial(text, { ...PLAN, flows: 1 });
    expect(patient.violations).toMatchObject([
      { kind: "costly", example: expect.stringMatching(/^a choice took \d+ µs in the mean of 1, of 100 µs$/) },
    ]);
    expect(patient.outcomes[0]?.slowestMs).toBeGreaterThan(1);
  });
});

test("a trial that takes too long as a whole ends, and says how far it came", async () => {
  const plan = { ...PLAN, flows: 1_000_000_000, sets: [FOUR, FOUR], trialLimitMs: 100 };
  const { outcomes, violations } = await trial(policyText(), plan);
  expect(outcomes).toHaveLength(1);
  const flows = outcomes[0]?.flows ?? 0;
  expect(flows).toBeLessThan(plan.flows);
  const example = `the trial's time was up after ${flows} of ${plan.flows} flows`;
  expect(violations).toEqual([{ kind: "slow", set: "four", count: 1, example }]);
});

describe("a violation is found and told with what happened first", () => {
  test.each<{ what: string; text: string; kind: string; count: number; example: string }>([
    {
      what: "an index one too high",
      text: choosing("(i32.const 4)"),
      kind: "out-of-range",
      count: 1000,
      example: "choose answered 4 of 4 candidates",
    },
    {
      what: "a negative index",
      text: choosing("(i32.const -2)"),
      kind: "out-of-range",
      count: 1000,
      example: "choose answered -2 of 4 candidates",
    },
    {
      what: "-1 with candidates",
      text: choosing("(i32.const -1)"),
      kind: "none",
      count: 1000,
      example: "choose answered -1, though there are candidates that take new flows",
    },
    {
      what: "a draining one",
      text: choosing("(i32.const 2)"),
      kind: "draining",
      count: 1000,
      example: "choose answered instance 12, which drains",
    },
    {
      what: "an ill one",
      text: choosing("(i32.const 3)"),
      kind: "unhealthy",
      count: 1000,
      example: "choose answered instance 13, which is ill",
    },
    {
      what: "a trap in choose",
      text: choosing("unreachable"),
      kind: "trap",
      count: 101,
      example: "choose: unreachable",
    },
    { what: "a trap in update", text: updating("unreachable"), kind: "trap", count: 1, example: "update: unreachable" },
    {
      what: "endless recursion",
      text: choosing("(call $deep (i32.const 0))").replace(
        /\)$/,
        "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1))))",
      ),
      kind: "trap",
      count: 101,
      example: "choose: Maximum call stack size exceeded",
    },
    {
      what: "a refusal by reserve",
      text: reserving("(i32.const 0)"),
      kind: "refused",
      count: 1,
      example: "reserve answered 0 for 4 candidates",
    },
    {
      what: "records that are not aligned",
      text: reserving("(i32.const 1026)"),
      kind: "refused",
      count: 1,
      example: "reserve answered 1026 for 4 candidates",
    },
    {
      what: "records beyond its memory",
      text: reserving("(i32.const 65500)"),
      kind: "refused",
      count: 1,
      example: "reserve answered 65500 for 4 candidates",
    },
    {
      what: "a refusal by update",
      text: updating("(i32.const 2)"),
      kind: "refused",
      count: 1,
      example: "update answered 2 for 4 candidates",
    },
    {
      what: "memory beyond its maximum",
      text: choosing("(i32.store (i32.shl (memory.grow (i32.const 100)) (i32.const 16)) (i32.const 1)) (i32.const 0)"),
      kind: "trap",
      count: 101,
      example: "choose: memory access out of bounds",
    },
    {
      what: "memory without end",
      text: fromCall(900, "(drop (memory.grow (i32.const 1))) (i32.const 0)", "(i32.const 0)"),
      kind: "memory",
      count: 1,
      example: "it grew from 65536 to 262144 bytes in the second half of the choices",
    },
    {
      what: "sixteen bytes of each choice",
      text: policyText(
        {
          choose: `(func (export "choose") (param i32 i32 i32) (result i32)
            (global.set $top (i32.add (global.get $top) (i32.const 16)))
            (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
              (then (if (i32.lt_s (memory.grow (i32.const 1)) (i32.const 0)) (then (global.set $top (i32.const 0))))))
            (i32.const 0))`,
          memory: '(memory (export "memory") 1 200)',
        },
        "(global $top (mut i32) (i32.const 0))",
      ),
      kind: "memory",
      count: 1,
      example: "000 choices",
    },
    {
      what: "a change of mind",
      text: fromCall(601, "(i32.const 9)", "(i32.const 1)"),
      kind: "out-of-range",
      count: 400,
      example: "choose answered 9 of 4 candidates",
    },
  ])("$what", async ({ text, kind, count, example }) => {
    const { violations } = await trial(text);
    expect(violations).toEqual([{ kind, set: "four", count, example: expect.stringContaining(example) }]);
    const trap = kind === "trap";
    expect(/, in function \d+ at byte 0x[0-9a-f]+$/.test(violations[0]?.example ?? "")).toBe(trap);
  });

  test.each([
    [
      "another ABI version",
      policyText({ abiVersion: '(func (export "abiVersion") (result i32) (i32.const 1))' }),
      "policy ABI version 2; found version 1",
    ],
    [
      "a trap when it starts",
      policyText({}, "(start $trap) (func $trap unreachable)"),
      "cannot be started: unreachable",
    ],
  ])("%s: it is refused before any candidate", async (_what, text, said) => {
    const { outcomes, violations, memoryBytes } = await trial(text);
    expect({ outcomes, memoryBytes }).toEqual({ outcomes: [], memoryBytes: 0 });
    expect(violations).toEqual([{ kind: "refused", set: undefined, count: 1, example: expect.stringContaining(said) }]);
  });
});

test("answers that change over time, but are candidates, are no violation", async () => {
  const { outcomes, violations } = await trial(fromCall(301, "(i32.const 1)", "(i32.const 0)"));
  expect(violations).toEqual([]);
  expect(outcomes[0]?.chosen).toEqual([300, 700, 0, 0]);
});

test("after a set with traps the others are tried all the same", async () => {
  const two = { name: "two", candidates: FOUR.candidates.slice(0, 2) };
  // The service's number is that of its set, from 1 on.
  const text = choosing("(if (i32.eq (local.get 0) (i32.const 1)) (then unreachable)) (i32.const 1)");
  const { outcomes, violations } = await trial(text, { ...PLAN, sets: [FOUR, two] });
  expect(violations).toMatchObject([{ kind: "trap", set: "four", count: 101 }]);
  expect(outcomes.map(({ flows, chosen }) => ({ flows, chosen }))).toEqual([
    { flows: 101, chosen: [0, 0, 0, 0] },
    { flows: 1000, chosen: [0, 1000] },
  ]);
});
