import { describe, expect, test } from "vitest";
import { canonicalName, isName } from "../../../src/model/names.ts";
import { isPolicyName } from "../../../src/model/policy-names.ts";

describe("a name of a node or service", () => {
  test.each([
    "a",
    "web.example:80/path#1%",
    "größe",
    "東京",
    "서울",
    "ประเทศไทย",
    "नमस्ते",
    "שירות",
    "خدمة",
    "👍",
    "x".repeat(253),
    "é".repeat(126),
  ])("%j is one", (text) => expect(isName(canonicalName(text))).toBe(true));

  test.each([
    ["nothing", ""],
    ["a space", "a b"],
    ["another space", "a\u00a0b"],
    ["an ideographic space", "a\u3000b"],
    ["a line feed", "a\n"],
    ["an escape", "a\u001b[31m"],
    ["a C1 control", "a\u009b31m"],
    ["a bidi override", "a\u202eb"],
    ["a bidi isolate", "a\u2066b"],
    ["a right-to-left mark", "a\u200fb"],
    ["a zero width space", "a\u200bb"],
    ["a zero width joiner", "a\u200db"],
    ["a byte order mark", "\ufeffa"],
    ["a soft hyphen", "a\u00adb"],
    ["a Hangul filler", "a\u3164b"],
    ["a variation selector", "a\ufe0f"],
    ["a tag", "a\u{e0061}"],
    ["a line separator", "a\u2028b"],
    ["half of a character", "a\ud800"],
    ["a private character", "a\ue000"],
    ["a noncharacter", "a\uffff"],
    ["a mark without its letter", "\u0301a"],
    ["254 bytes", "x".repeat(254)],
    ["254 bytes in 127 characters", "é".repeat(127)],
  ])("%s makes it none", (_what, text) => expect(isName(canonicalName(text))).toBe(false));

  test("is the same in every composition of its characters", () => {
    expect(canonicalName("gro\u0308ße")).toBe("größe");
    expect(isName("gro\u0308ße")).toBe(false);
  });
});

describe("a name of a policy", () => {
  test.each(["a", "round-robin", "größe-2", "最近", "ближайший", "x".repeat(63)])("%j is one", (text) => {
    expect(isPolicyName(text)).toBe(true);
  });

  test.each([
    "",
    "-a",
    "2a",
    "A",
    "Größe",
    "a b",
    "a/b",
    "a.b",
    "..",
    "a_b",
    "a\u200db",
    "x".repeat(64),
    "最".repeat(22),
  ])("%j is none", (text) => expect(isPolicyName(text)).toBe(false));
});
