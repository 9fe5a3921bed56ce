import { describe, expect, test } from "vitest";
import { checkPolicy, POLICY_SHAPE } from "../../../../src/dataplane/modules/policy-module.ts";
import { compileBytes } from "../../../../src/dataplane/modules/wasm.ts";
import { binaryOf, compileSource, policySource } from "../../../support/policy-source.ts";

describe("a module is refused", () => {
  test.each<{ reason: string; source: string; options?: Record<string, string | number | boolean>; says: string }>([
    {
      reason: "an export is missing",
      source: "export function abiVersion(): i32 { return 1; }",
      says: 'must export the function "reserve"; found',
    },
    {
      reason: "an export is of another kind",
      source: policySource({ choose: "export const choose: i32 = 3;" }),
      says: 'must export the function "choose"; found a global',
    },
    {
      reason: "a function has other parameters",
      source: policySource({ choose: "export function choose(s: i32): i32 { return 0; }" }),
      says: 'must export "choose" as (i32, i32, i32) -> i32; found (i32) -> i32',
    },
    {
      reason: "a function takes another type",
      source: policySource({ update: "export function update(s: i64, n: i32): i32 { return 0; }" }),
      says: 'must export "update" as (i32, i32) -> i32; found (i64, i32) -> i32',
    },
    {
      reason: "a function answers another type",
      source: policySource({ choose: "export function choose(s: i32, f: i32, c: i32): f64 { return NaN; }" }),
      says: 'must export "choose" as (i32, i32, i32) -> i32; found (i32, i32, i32) -> f64',
    },
    {
      reason: "a function answers nothing",
      source: policySource({ update: "export function update(s: i32, n: i32): void {}" }),
      says: 'must export "update" as (i32, i32) -> i32; found (i32, i32) -> ()',
    },
    {
      reason: "liveFlows has parameters",
      source: policySource({}, "export function liveFlows(service: i32): i32 { return 1; }"),
      says: 'must export "liveFlows" as () -> i32; found (i32) -> i32',
    },
    {
      reason: "it is built for another ABI version",
      source: policySource({ abiVersion: "export function abiVersion(): i32 { return 999; }" }),
      says: "must be built for policy ABI version 2; found version 999",
    },
    {
      reason: "its version cannot be asked",
      source: policySource({ abiVersion: "export function abiVersion(): i32 { return unreachable(); }" }),
      says: "must say its ABI version; found that abiVersion() failed: unreachable",
    },
    {
      reason: "it imports a function",
      source: policySource(
        { choose: "export function choose(s: i32, f: i32, c: i32): i32 { return help(); }" },
        '@external("host", "help") declare function help(): i32;',
      ),
      says: 'may import only env.abort; found the function "host.help"',
    },
    {
      reason: "it imports its memory",
      source: policySource(),
      options: { importMemory: true },
      says: "must have a memory of its own with a maximum of at most 256 pages; found 0 memories",
    },
    {
      reason: "its memory has no maximum",
      source: policySource(),
      options: { maximumMemory: 0 },
      says: "with a maximum of at most 256 pages; found a memory without a maximum",
    },
    {
      reason: "its memory's maximum is too large",
      source: policySource(),
      options: { maximumMemory: 257 },
      says: "with a maximum of at most 256 pages; found one that can have 257 pages",
    },
    {
      reason: "its memory is not exported",
      source: policySource(),
      options: { noExportMemory: true },
      says: 'must export the memory "memory"; found',
    },
    {
      reason: "its memory is shared",
      source: policySource(),
      options: { sharedMemory: true, enable: "threads" },
      says: "must have a memory of its own with a maximum of at most 256 pages; found a shared memory",
    },
    {
      reason: "it traps while it starts",
      source: policySource({}, "unreachable();"),
      says: "cannot be started: unreachable",
    },
  ])("when $reason", async ({ source, options, says }) => {
    const check = async (): Promise<void> => {
      checkPolicy(await compileBytes(await binaryOf(source, options), POLICY_SHAPE, "custom"), "custom");
    };
    await expect(check()).rejects.toMatchObject({
      code: "module-refused",
      message: expect.stringContaining(says),
    });
  });

  test("but not for a maximum of exactly 16 MiB, nor for AssemblyScript's abort", async () => {
    const source = policySource({
      update: "export function update(s: i32, n: i32): i32 { assert(n > 0); return 0; }",
    });
    checkPolicy(await compileSource(source, { maximumMemory: 256 }), "custom");
  });
});
