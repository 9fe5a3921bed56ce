import { beforeEach, describe, expect, test } from "vitest";
import * as CandidateLayout from "../../../../assembly/shared/layout/candidate.ts";
import * as ServiceLayout from "../../../../assembly/shared/layout/service.ts";
import { RECORD_SIZE } from "../../../../assembly/shared/policies.ts";
import { type HostedPolicyState, PolicyHost } from "../../../../src/dataplane/worker/policies.ts";
import { compilePolicy, countEach } from "../../../support/policies.ts";
import { compileSource, policySource } from "../../../support/policy-source.ts";
import { createPolicyTables, type PolicyTables } from "./support/policy-tables.ts";

const ROUND_ROBIN = 0;
const CLOSEST = 1;
const LEAST_CONNECTIONS = 2;
const CUSTOM = 3;

let tables: PolicyTables;
let nowMs: number;

beforeEach(() => {
  tables = createPolicyTables();
  nowMs = 5000;
});

async function hostOfBuiltIn(): Promise<PolicyHost> {
  const names = ["round-robin", "closest", "least-connections"]; // by slot
  const modules = await Promise.all(
    names.map(async (name, slot) => ({ slot, name, module: await compilePolicy(name) })),
  );
  return new PolicyHost(tables.shared.memory, modules, 0, { clockMs: () => nowMs });
}

async function hostOf(source: string, options?: Readonly<Record<string, number>>): Promise<PolicyHost> {
  const module = await compileSource(source, options);
  return new PolicyHost(tables.shared.memory, [{ slot: CUSTOM, name: "custom", module }], 0, { clockMs: () => nowMs });
}

function reportOf(host: PolicyHost, slot: number): HostedPolicyState {
  const report = host.report().find((one) => one.slot === slot);
  if (report === undefined) throw new Error(`no policy in slot ${slot}`);
  return report;
}

function chooseMany(host: PolicyHost, serviceAt: number, count: number): number[] {
  return Array.from({ length: count }, () => host.choose(serviceAt, 0, 0));
}

const three = [{ instance: 1 }, { instance: 2 }, { instance: 3 }];

describe("the policy host", () => {
  test("asks the policy of the service record, and copies the candidates once", async () => {
    const host = await hostOfBuiltIn();
    const turning = tables.service(1, ROUND_ROBIN, 1, three);
    const nearest = tables.service(2, CLOSEST, 1, three);
    for (const [node, rttUs] of [
      [1, 9000],
      [2, 2000],
      [3, 5000],
    ] as const)
      tables.rtt(node, rttUs);
    expect(countEach(chooseMany(host, turning, 30))).toEqual(
      new Map([
        [0, 10],
        [1, 10],
        [2, 10],
      ]),
    );
    expect(chooseMany(host, nearest, 3)).toEqual([1, 1, 1]);
    expect(reportOf(host, ROUND_ROBIN)).toMatchObject({ name: "round-robin", choices: 30, refreshes: 1, traps: 0 });
    expect(reportOf(host, CLOSEST)).toMatchObject({ name: "closest", choices: 3, refreshes: 1 });
  });

  test("a new revision is seen by the next choice", async () => {
    const host = await hostOfBuiltIn();
    host.choose(tables.service(1, ROUND_ROBIN, 1, three), 0, 0);
    const at = tables.service(1, ROUND_ROBIN, 2, [
      { instance: 1, flags: CandidateLayout.DRAINING },
      { instance: 2, flags: CandidateLayout.DRAINING },
      { instance: 3 },
      { instance: 4 },
    ]);
    expect(chooseMany(host, at, 4)).toEqual([2, 3, 2, 3]);
    expect(reportOf(host, ROUND_ROBIN).refreshes).toBe(2);
  });

  test("another record of the same handle continues the rotation", async () => {
    const host = await hostOfBuiltIn();
    expect(host.choose(tables.service(1, ROUND_ROBIN, 1, three), 0, 0)).toBe(0);
    const at = tables.service(2, ROUND_ROBIN, 2, three);
    tables.shared.u32[(at + ServiceLayout.ID) >>> 2] = 101;
    expect(host.choose(at, 0, 0)).toBe(1);
  });

  test("new round-trip times are seen after 100 ms, not before", async () => {
    const host = await hostOfBuiltIn();
    const at = tables.service(1, CLOSEST, 1, three);
    tables.rtt(1, 2000);
    tables.rtt(2, 9000);
    expect(host.choose(at, 0, 0)).toBe(0);
    tables.rtt(1, 30_000);
    nowMs += 99;
    expect(host.choose(at, 0, 0)).toBe(0);
    nowMs += 1;
    expect(host.choose(at, 0, 0)).toBe(1);
    nowMs += 1000;
    host.choose(at, 0, 0);
    expect(reportOf(host, CLOSEST).refreshes).toBe(2);
  });

  test("the copied record holds what the tables hold", async () => {
    // Chooses by flowHash which word of the record to answer with; the answer is passed on out of range as it is.
    const host = await hostOf(
      policySource({ choose: "export function choose(s: i32, f: i32, c: i32): i32 { return load<i32>(1024 + f); }" }),
    );
    tables.rtt(3, 1234);
    tables.distance(3, 56.5);
    tables.load(3, 77);
    tables.load(4, -1);
    const flags = CandidateLayout.DRAINING | CandidateLayout.LOCAL;
    const at = tables.service(1, CUSTOM, 1, [{ instance: 3, weight: 60_000, flags }, { instance: 4 }]);
    const words = Array.from({ length: 16 }, (_, word) => host.choose(at, 4 * word, 0));
    const distanceBits = new DataView(new Float32Array([56.5]).buffer).getInt32(0, true);
    expect(words.slice(0, 8)).toEqual([13, 60_000, 77, 1234, distanceBits, 1 | 2 | 4, 0, 0]);
    expect(words.slice(8)).toEqual([14, 1, 0, 0, 0, 4, 0, 0]);
  });

  test.each([
    { called: 4, flags: [8 | 32, 16, 8 | 16 | 32, 0] },
    { called: 6, flags: [8, 16 | 32, 8 | 16 | 32, 0] },
  ] as const)(
    "the record tells the families, and which is that of a call over IPv$called",
    async ({ called, flags }) => {
      const host = await hostOf(
        policySource({ choose: "export function choose(s: i32, f: i32, c: i32): i32 { return load<i32>(1044 + f); }" }),
      );
      for (const [instance, family] of [
        [1, 4],
        [2, 6],
        [3, 4],
        [3, 6],
      ] as const) {
        tables.family(instance, family);
      }
      const at = tables.service(1, CUSTOM, 1, [...three, { instance: 4 }], called);
      expect(flags.map((_, index) => host.choose(at, index * RECORD_SIZE, 0))).toEqual(flags.map((flag) => 4 | flag));
    },
  );

  test("a policy that asks for live flow counts sees those of the moment, without new candidates", async () => {
    const host = await hostOfBuiltIn();
    const at = tables.service(1, LEAST_CONNECTIONS, 1, three);
    for (const [loads, chosen] of [
      [[3, 2, 1], 2],
      [[3, 0, 1], 1],
      [[0, 9, 9], 0],
      [[1, -1, 1], 1], // another worker counted an end before its beginning
      [[0x7fff_ffff, 0x7fff_ffff, 0x7fff_fffe], 2],
    ] as const) {
      loads.forEach((flows, i) => {
        tables.load(i + 1, flows);
      });
      expect(host.choose(at, 0, 0)).toBe(chosen);
    }
    expect(reportOf(host, LEAST_CONNECTIONS)).toMatchObject({ choices: 5, refreshes: 1 });
  });

  test("live flow counts are those of each service's own candidates, also after the memory grew", async () => {
    const host = await hostOfBuiltIn();
    const services = Array.from({ length: 90 }, (_, i) => {
      const at = tables.service(i, LEAST_CONNECTIONS, 1, [{ instance: i }, { instance: i + 1 }, { instance: i + 2 }]);
      tables.load(i, 1000 - i); // the last one has the fewest
      return at;
    });
    tables.load(90, 0);
    tables.load(91, 0);
    const at = tables.service(99, LEAST_CONNECTIONS, 1, Array(20).fill({ instance: 50 })); // another size of block
    expect(host.choose(at, 0, 0)).toBeGreaterThanOrEqual(0);
    for (const [i, serviceAt] of services.slice(0, 88).entries()) {
      expect(host.choose(serviceAt, 0, 0), `service ${i}`).toBe(2);
      tables.load(i, 0);
      expect(host.choose(serviceAt, 0, 0), `service ${i}`).toBe(0);
      tables.load(i, 1000 - i);
    }
  });

  test("a policy that does not ask keeps the counts of its last refresh", async () => {
    const flowsOfFirst = "export function choose(s: i32, f: i32, c: i32): i32 { return load<i32>(1024 + 8); }";
    for (const [more, expected] of [
      ["", [0, 0]],
      ["export function liveFlows(): i32 { return 0; }", [0, 0]],
      ["export function liveFlows(): i32 { return 1; }", [0, 2]],
    ] as const) {
      const host = await hostOf(policySource({ choose: flowsOfFirst }, more));
      tables.load(1, 0);
      const at = tables.service(1, CUSTOM, 1, three);
      const before = host.choose(at, 0, 0);
      tables.load(1, 2);
      expect([before, host.choose(at, 0, 0)], more).toEqual(expected);
    }
  });

  test("a policy that asks for live flow counts and grows its memory in choose gets them there", async () => {
    const host = await hostOf(
      policySource(
        {
          choose: `export function choose(s: i32, f: i32, c: i32): i32 {
            const flows = load<i32>(1024 + 8);
            memory.grow(1);
            return flows;
          }`,
        },
        "export function liveFlows(): i32 { return 1; }",
      ),
    );
    const at = tables.service(1, CUSTOM, 1, three);
    const chosen = [0, 1, 2].map((flows) => {
      tables.load(1, flows);
      return host.choose(at, 0, 0);
    });
    expect(chosen).toEqual([0, 1, 2]);
    expect(reportOf(host, CUSTOM).traps).toBe(0);
  });

  test("a policy that grows its memory gets all its candidates", async () => {
    const host = await hostOf(
      policySource({
        reserve: "export function reserve(s: i32, n: i32): i32 { return (memory.grow(1) << 16) + 64; }",
        choose: "export function choose(s: i32, f: i32, c: i32): i32 { return load<i32>(65536 + 64 + 32) - 10; }",
      }),
    );
    expect(host.choose(tables.service(1, CUSTOM, 1, three), 0, 0)).toBe(2);
    expect(reportOf(host, CUSTOM)).toMatchObject({ traps: 0, refusals: 0 });
  });

  test("a service address without a loaded policy has no choice, and is counted", async () => {
    const host = await hostOfBuiltIn();
    expect(host.choose(tables.service(1, 9, 1, three), 0, 0)).toBe(-1);
    expect(host.missing).toBe(1);
  });

  test("a service without candidates has no choice", async () => {
    const host = await hostOfBuiltIn();
    expect(host.choose(tables.service(1, ROUND_ROBIN, 1, []), 0, 0)).toBe(-1);
    expect(reportOf(host, ROUND_ROBIN)).toMatchObject({ none: 1, traps: 0, refusals: 0 });
  });
});

describe("a faulty policy", () => {
  const choosing = (body: string, type = "i32"): string =>
    policySource({ choose: `export function choose(s: i32, f: i32, c: i32): ${type} { ${body} }` });

  test.each([
    { fault: "unreachable", source: choosing("return unreachable();"), error: "choose: unreachable" },
    { fault: "division by zero", source: choosing("return f / c;"), error: "choose: divide by zero" },
    { fault: "a load out of bounds", source: choosing("return load<i32>(-8);"), error: "memory access out of bounds" },
    { fault: "endless recursion", source: choosing("return choose(s, f + 1, c) + 1;"), error: "call stack" },
    {
      fault: "memory beyond its maximum",
      source: choosing("store<i32>(memory.grow(100) << 16, 1); return 0;"),
      error: "memory access out of bounds",
    },
    {
      fault: "a failed assertion",
      source: choosing("assert(false); return 0;"),
      error: "abort at line",
    },
    {
      fault: "a trap in reserve",
      source: policySource({ reserve: "export function reserve(s: i32, n: i32): i32 { return unreachable(); }" }),
      error: "update: unreachable",
    },
    {
      fault: "a trap in update",
      source: policySource({ update: "export function update(s: i32, n: i32): i32 { return unreachable(); }" }),
      error: "update: unreachable",
    },
    {
      fault: "an i64 where an i32 belongs",
      source: policySource({ update: "export function update(s: i64, n: i32): i32 { return 0; }" }),
      error: "update: Cannot convert",
    },
  ])("$fault gives no choice and is counted as a trap", async ({ source, error }) => {
    const host = await hostOf(source);
    expect(host.choose(tables.service(1, CUSTOM, 1, three), 0, 0)).toBe(-1);
    expect(reportOf(host, CUSTOM)).toMatchObject({ choices: 1, traps: 1 });
    expect(reportOf(host, CUSTOM).lastError).toContain(error);
  });

  test.each([
    { answer: "one too high", source: choosing("return 3;"), passed: 3 },
    { answer: "negative", source: choosing("return -2;"), passed: -2 },
    { answer: "the largest", source: choosing("return i32.MAX_VALUE;"), passed: 0x7fff_ffff },
    { answer: "an i64", source: choosing("return 1;", "i64"), passed: -1 },
    { answer: "NaN", source: choosing("return NaN;", "f64"), passed: -1 },
    { answer: "a fraction", source: choosing("return 0.5;", "f64"), passed: -1 },
    { answer: "nothing at all", source: choosing("", "void"), passed: -1 },
  ])("an answer out of range ($answer) leads to no candidate and is counted", async ({ source, passed }) => {
    const host = await hostOf(source);
    expect(host.choose(tables.service(1, CUSTOM, 1, three), 0, 0)).toBe(passed);
    expect(reportOf(host, CUSTOM)).toMatchObject({ choices: 1, outOfRange: 1, none: 0, traps: 0 });
  });

  test("one whose answers change over time is judged by each of them", async () => {
    const answers = "calls++; return calls % 4 == 0 ? 3 : calls % 4 == 1 ? unreachable() : calls % 4 == 2 ? -1 : 2;";
    const host = await hostOf(`${choosing(answers)}\nlet calls = 0;`);
    const at = tables.service(1, CUSTOM, 1, three);
    nowMs += 10_000;
    // A trap starts the module anew, and with it the count of its calls.
    expect(chooseMany(host, at, 5)).toEqual([-1, -1, -1, 2, 3]);
    expect(reportOf(host, CUSTOM)).toMatchObject({ choices: 5, traps: 2, none: 1, outOfRange: 1, restarts: 1 });
  });

  test("an answer of -1 is counted apart", async () => {
    const host = await hostOf(choosing("return -1;"));
    expect(host.choose(tables.service(1, CUSTOM, 1, three), 0, 0)).toBe(-1);
    expect(reportOf(host, CUSTOM)).toMatchObject({ none: 1, outOfRange: 0 });
  });

  const reserving = (body: string): string =>
    policySource({ reserve: `export function reserve(s: i32, n: i32): i32 { ${body} }` });
  test.each([
    { refusal: "no room", source: reserving("return 0;"), error: "reserve answered 0 for 3 candidates" },
    {
      refusal: "an address beyond its memory",
      source: reserving("return 65536 - 32;"),
      error: "reserve answered 65504",
    },
    {
      refusal: "an address that is not aligned",
      source: reserving("return 1026;"),
      error: "reserve answered 1026 for 3 candidates",
    },
    { refusal: "a negative address", source: reserving("return -64;"), error: "reserve answered 4294967232" },
    {
      refusal: "an error code",
      source: policySource({ update: "export function update(s: i32, n: i32): i32 { return 5; }" }),
      error: "update answered 5 for 3 candidates",
    },
  ])("$refusal gives no choice, and is tried again 100 ms later", async ({ source, error }) => {
    const host = await hostOf(source);
    const at = tables.service(1, CUSTOM, 1, three);
    expect(chooseMany(host, at, 50)).toEqual(Array(50).fill(-1));
    expect(reportOf(host, CUSTOM)).toMatchObject({
      choices: 50,
      unprepared: 50,
      refreshes: 1,
      refusals: 1,
      restarts: 1,
    });
    expect(reportOf(host, CUSTOM).lastError).toContain(error);
    nowMs += 100;
    chooseMany(host, at, 50);
    expect(reportOf(host, CUSTOM)).toMatchObject({ choices: 100, refreshes: 2, refusals: 2, restarts: 1 });
  });

  test("a module that trapped is started anew, but not more often than once a second", async () => {
    const host = await hostOf(
      policySource(
        {
          choose: `export function choose(s: i32, f: i32, c: i32): i32 {
            if (calls++ == 1) broken = true;
            return broken ? unreachable() : 0;
          }`,
        },
        "let calls = 0; let broken = false;",
      ),
    );
    const at = tables.service(1, CUSTOM, 1, three);
    expect(chooseMany(host, at, 5)).toEqual([0, -1, 0, -1, -1]);
    expect(reportOf(host, CUSTOM)).toMatchObject({ traps: 3, restarts: 1 });
    nowMs += 1000;
    expect(chooseMany(host, at, 3)).toEqual([-1, 0, -1]);
    expect(reportOf(host, CUSTOM)).toMatchObject({ traps: 5, restarts: 2 });
  });

  test("a module whose memory is full of services that are gone is started anew and goes on", async () => {
    const host = await hostOf(
      policySource(
        { reserve: "export function reserve(s: i32, n: i32): i32 { return known++ < 2 ? 1024 : 0; }" },
        "let known = 0;",
      ),
    );
    const services = [1, 2, 3].map((record) => tables.service(record, CUSTOM, 1, three));
    expect(services.map((at) => host.choose(at, 0, 0))).toEqual([0, 0, 0]);
    expect(reportOf(host, CUSTOM)).toMatchObject({ refusals: 1, restarts: 1, refreshes: 3, unprepared: 0 });
    expect(host.choose(services[0] ?? 0, 0, 0)).toBe(0);
    expect(reportOf(host, CUSTOM).refreshes, "the new instance did not get the candidates").toBe(4);
  });

  test("a module that has no room for all services in use is started anew once a minute, not each time", async () => {
    const host = await hostOf(
      policySource(
        { reserve: "export function reserve(s: i32, n: i32): i32 { return known++ < 2 ? 1024 : 0; }" },
        "let known = 0;",
      ),
    );
    const services = [1, 2, 3, 4].map((record) => tables.service(record, CUSTOM, 1, three));
    const answers = (): number[] => services.map((at) => host.choose(at, 0, 0));
    expect(answers()).toEqual([0, 0, 0, 0]); // started anew for the third one
    for (let second = 0; second < 59; second += 1) {
      nowMs += 1000;
      expect(answers()).toEqual([-1, -1, 0, 0]);
    }
    expect(reportOf(host, CUSTOM).restarts).toBe(1);
    nowMs += 1000;
    answers();
    expect(reportOf(host, CUSTOM)).toMatchObject({ restarts: 2, traps: 0 });
  });

  test("one faulty policy does not disturb the others", async () => {
    const hostile = await compileSource(choosing("return unreachable();"));
    const modules = [
      { slot: ROUND_ROBIN, name: "round-robin", module: await compilePolicy("round-robin") },
      { slot: CUSTOM, name: "hostile", module: hostile },
    ];
    const host = new PolicyHost(tables.shared.memory, modules, 0, { clockMs: () => nowMs });
    const good = tables.service(1, ROUND_ROBIN, 1, three);
    const bad = tables.service(2, CUSTOM, 1, three);
    const chosen = Array.from({ length: 6 }, () => [host.choose(bad, 0, 0), host.choose(good, 0, 0)]);
    expect(chosen).toEqual([0, 1, 2, 0, 1, 2].map((index) => [-1, index]));
  });
});
