import { describe, expect, test } from "vitest";
import { changedFields } from "../../../../src/control/config/changed-fields.ts";

const BEFORE = {
  node: { id: "a", location: { latitude: 1, longitude: 2 } },
  tun: { mtu: 1450, queues: 1 },
  ranges: ["x", "y"],
};

describe("changed fields", () => {
  test.each([
    ["nothing", {}, []],
    ["a number in a section", { tun: { mtu: 1400, queues: 1 } }, ["tun.mtu"]],
    [
      "a field two levels down",
      { node: { id: "a", location: { latitude: 1, longitude: 3 } } },
      ["node.location.longitude"],
    ],
    ["a list by its order", { ranges: ["y", "x"] }, ["ranges"]],
    ["a field that is gone", { tun: { mtu: 1450 } }, ["tun.queues"]],
    ["a section that is gone", { node: { id: "a" } }, ["node.location"]],
    ["a field that is new", { flows: 5 }, ["flows"]],
  ])("%s", (_what, change, expected) => {
    expect(changedFields(BEFORE, { ...BEFORE, ...change })).toEqual(expected);
  });
});
