import { expect, test } from "vitest";
import { chooseQueues } from "../../../src/control/node-proxy.ts";

test.each([
  ["auto", 1, 1],
  ["auto", 2, 1],
  ["auto", 3, 1],
  ["auto", 8, 4],
  ["auto", 128, 16],
  [4, 2, 4],
] as const)("%s queues on %i processors are %i", (configured, processors, expected) => {
  expect(chooseQueues(configured, processors)).toBe(expected);
});
