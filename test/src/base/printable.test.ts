import { expect, test } from "vitest";
import { printable, printableLine } from "../../../src/base/printable.ts";

const CONTROLS = [...Array(0x20).keys(), ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i)].map((code) =>
  String.fromCharCode(code),
);
const DIRECTIONS = [..."\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"];

test("every control character and every change of direction is written as text", () => {
  const text = ["a", ...CONTROLS, ...DIRECTIONS, "\u2028\u2029z"].join("");
  expect(printableLine(text)).toMatch(/^a(?:\\u[0-9a-f]{4})+z$/);
  expect(printable(text)).toMatch(/^a(?:\\u[0-9a-f]{4}|[\t\n])+z$/);
});

test("lines and tabs, words of all scripts and pictures stay", () => {
  const text = "a\tb\nöäü 東京 שלום नमस्ते 👩‍👩‍👧\n";
  expect(printable(text)).toBe(text);
});

test("JSON means the same afterwards", () => {
  const value = { [CONTROLS.join("")]: DIRECTIONS.join("") };
  expect(JSON.parse(printable(JSON.stringify(value, undefined, 2)))).toEqual(value);
});
