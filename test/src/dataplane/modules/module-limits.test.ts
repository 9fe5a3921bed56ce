// What a module may have: each bound is refused one beyond it, before anything is compiled, and what V8 takes beyond
// the allowed part of WebAssembly is refused as well.
import { readdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { POLICY_SHAPE, policyShape } from "../../../../src/dataplane/modules/policy-module.ts";
import { builtModulePath, checkBytes, ENGINE_SHAPE } from "../../../../src/dataplane/modules/wasm.ts";
import { Random, testSeed } from "../../../support/random.ts";
import { assembleAny, policyText } from "../../../support/wat.ts";

const judge = (bytes: Uint8Array, shape = POLICY_SHAPE) => checkBytes(bytes, shape, "m");

describe("the modules of the package are within the limits", () => {
  test("the engine", () => {
    expect(() => judge(readFileSync(builtModulePath("engine")), ENGINE_SHAPE)).not.toThrow();
  });

  test.each(readdirSync(dirname(builtModulePath("policies/any"))))("%s", (file) => {
    expect(() => judge(readFileSync(builtModulePath(`policies/${file.replace(".wasm", "")}`)))).not.toThrow();
  });
});

const many = (count: number, text: string): string => Array.from({ length: count }, () => text).join("\n");
const table = (initial: number, maximum: number | "" = initial): string =>
  policyText({}, `(table ${initial} ${maximum} funcref)`);
const body = (instructions: string, locals = ""): string => policyText({}, `(func ${locals} ${instructions})`);

describe("a module is refused that", () => {
  test.each([
    ["has a huge table", table(10_000_000), /found one that can have 4 pages, and tables of 10000000 entries/],
    ["can have a huge table", table(0, 10_000_000), /tables of 10000000 entries, which count as 4882/],
    ["has a table without a maximum", table(1, ""), /tables with a maximum; found one without/],
    ["has many tables", policyText({}, many(11, "(table 1 1 funcref)")), /at most 10 tables; found 11/],
    ["has tables that are large together", policyText({}, many(9, "(table 65536 65536 funcref)")), /589824 entries/],
    [
      "lets its table grow",
      `${table(1, 9).slice(0, -1)} (func (drop (table.grow 0 (table.get 0 (i32.const 0)) (i32.const 1)))))`,
      /table\.grow/,
    ],
    [
      "has a table of what the host keeps",
      policyText({}, "(table 1 1 externref)"),
      /references to something other than functions/,
    ],
    [
      "has no maximum of its memory",
      policyText({ memory: '(memory (export "memory") 1)' }),
      /found a memory without a maximum/,
    ],
    [
      "has too much memory",
      policyText({ memory: '(memory (export "memory") 1 257)' }),
      /found one that can have 257 pages/,
    ],
    ["has two memories", policyText({}, "(memory 1 1)"), /found 2 memories/],
    [
      "has a memory of 64 bits",
      policyText({ memory: '(memory (export "memory") i64 1 4)' }),
      /a kind that is not allowed \(flags 5\)/,
    ],
    ["shares its memory", policyText({ memory: '(memory (export "memory") 1 4 shared)' }), /found a shared memory/],
    [
      "throws exceptions",
      policyText({}, "(tag $oh) (func (throw $oh))"),
      /a section of kind 13|an instruction that is not allowed/,
    ],
    [
      "uses garbage collection",
      policyText({}, "(type $s (struct (field i32))) (func (drop (struct.new_default $s)))"),
      /a type that is no function's/,
    ],
    ["uses atomics", body("(drop (i32.atomic.load (i32.const 0)))"), /an instruction that is not allowed \(0xfe\)/],
    ["has many functions", policyText({}, many(10_000, "(func)")), /at most 10000 functions; found 10004/],
    ["has many globals", policyText({}, many(10_001, "(global i32 (i32.const 0))")), /at most 10000 globals/],
    ["has a huge function", body(many(20_000, "(drop (i32.const 1000000))")), /functions of at most 65536 bytes/],
    ["has many locals", body("", many(2001, "(local i32)")), /at most 2000 locals; found 2001/],
    [
      "has many locals and blocks",
      body(
        many(2300, "(block (nop) (nop) (drop (block (result i32) (br 0 (i32.const 1)))))"),
        many(1900, "(local i32)"),
      ),
      /at most 4194304 locals times blocks/,
    ],
    [
      "has a wide br_table",
      body(`(block (br_table ${many(4097, "0")} 0 (i32.const 3)))`),
      /a br_table of 4097 branches/,
    ],
    [
      "has functions of many parameters",
      policyText({}, `(func ${many(101, "(param i32)")})`),
      /at most 100 parameters/,
    ],
  ])("%s", (_what, text, says) => {
    expect(() => judge(assembleAny(text))).toThrowError(
      expect.objectContaining({ code: "module-refused", message: expect.stringMatching(says) }),
    );
  });

  test("has deep blocks", () => {
    const depth = 1001;
    const code = [0, ...new Array<number>(2 * depth).fill(0x02).map((_, i) => (i % 2 === 0 ? 0x02 : 0x40))];
    code.push(...new Array<number>(depth).fill(0x0b), 0x0b);
    const leb = (value: number): number[] => [(value & 0x7f) | 0x80, value >> 7];
    const bytes = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0];
    bytes.push(10, ...leb(code.length + 3), 1, ...leb(code.length), ...code);
    expect(() => judge(Uint8Array.from(bytes), ENGINE_SHAPE)).toThrow(/blocks at most 1000 deep; found 1002/);
  });

  test("has much code in all", () => {
    const text = policyText({}, many(40, `(func ${many(8000, "(drop (i32.const 1000000))")})`));
    expect(() => judge(assembleAny(text))).toThrow(/at most 1048576 bytes of code/);
  });
});

test.each([
  ["a table, as AssemblyScript makes one for its functions", table(64)],
  [
    "a table of 2,047 entries beside all the memory",
    `${policyText({ memory: '(memory (export "memory") 1 256)' }, "(table 2047 2047 funcref)")}`,
  ],
  ["SIMD", body("(drop (i8x16.add (v128.load (i32.const 0)) (v128.const i32x4 1 2 3 4)))")],
  ["memory in bulk", body("(memory.fill (i32.const 0) (i32.const 0) (i32.const 9))")],
  ["64,000 locals times blocks", body(many(1000, "(block (nop))"), many(64, "(local i64)"))],
])("%s is allowed", (_what, text) => {
  expect(() => judge(assembleAny(text))).not.toThrow();
});

test("the limit of the memory may be another one, and tables count towards it", () => {
  const text = policyText({}, "(table 4096 4096 funcref)"); // 4 pages of memory, 2 of the table
  expect(() => judge(assembleAny(text), policyShape(6))).not.toThrow();
  expect(() => judge(assembleAny(text), policyShape(5))).toThrow(/which count as 2/);
});

describe("an engine is refused that", () => {
  test.each([
    [
      "has a memory of its own",
      '(module (memory 1 1) (func (export "probe") (param f64) (result i32) (i32.const 0)))',
      /neither memory nor tables of its own; found a memory/,
    ],
    ["has a table", "(module (table 1 1 funcref))", /found a table/],
    [
      "lets the memory grow",
      '(module (import "env" "memory" (memory 1 65536 shared)) (func (drop (memory.grow (i32.const 1)))))',
      /memory\.grow/,
    ],
    [
      "has another signature",
      '(module (func (export "egress") (param i32 i32 i32) (result i32) (i32.const 0)))',
      /must export "egress" as \(i32, i32, f64\) -> i32; found \(i32, i32, i32\) -> i32/,
    ],
  ])("%s", (_what, text, says) => {
    expect(() => judge(assembleAny(text), ENGINE_SHAPE)).toThrow(says);
  });
});

test("bytes that are broken in any place are refused by a sentence, or are within the limits", () => {
  const random = new Random(testSeed(31));
  const good = readFileSync(builtModulePath("policies/consistent-hash"));
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from(good.subarray(0, random.chance(0.2) ? random.below(good.length) : good.length));
    for (let left = 1 + random.below(4); left > 0; left--) bytes[random.below(bytes.length)] = random.below(256);
    try {
      judge(bytes);
    } catch (error) {
      expect(error).toMatchObject({ code: "module-refused" });
    }
  }
});
