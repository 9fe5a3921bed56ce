import { expect, test } from "vitest";
import { jsonPieces } from "../../../src/cli/json-text.ts";

test.each([
  [[]],
  [{}],
  [[1, [2, "three"], { four: [5], six: {} }, null]],
  [{ matching: 2, flows: [{ a: 1, b: [], c: null }, { a: "\n" }], none: undefined, rest: { list: [[]] } }],
  ["text"],
  [null],
])("%j is the text that JSON.stringify makes", (value) => {
  expect([...jsonPieces(value)].join("")).toBe(`${JSON.stringify(value, undefined, 2)}\n`);
});

test("a long list comes in pieces", () => {
  const value = { flows: Array.from({ length: 10_000 }, (_, i) => ({ i })) };
  const pieces = [...jsonPieces(value)];
  expect(pieces.length).toBeGreaterThan(2);
  expect(pieces.join("")).toBe(`${JSON.stringify(value, undefined, 2)}\n`);
});
