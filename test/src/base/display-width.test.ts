import { expect, test } from "vitest";
import { displayWidth } from "../../../src/base/display-width.ts";

test.each([
  ["", 0],
  ["node-a", 6],
  ["größe", 5],
  ["gro\u0308ße", 5], // the same in combining characters
  ["東京", 4],
  ["ｗｅｂ", 6], // fullwidth
  ["ﾊﾝｶｸ", 4], // halfwidth
  ["서울", 4],
  ["\u1109\u1165\u110b\u116e\u11af", 4], // the same in conjoining Jamo
  ["नमस्ते", 4], // four letters with their marks
  ["שלום", 4],
  ["סֵפֶר", 3],
  ["👍", 2],
  ["👍🏽", 2],
  ["👩‍👩‍👧", 2],
  ["❤️", 2],
  ["🇩🇪", 2],
  ["a\u200bb", 2], // zero width space
  ["☺", 1],
])("%j takes %i columns", (text, columns) => {
  expect(displayWidth(text)).toBe(columns);
});
