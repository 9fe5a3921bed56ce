import { describe, expect, test } from "vitest";
import { toolFailure } from "../../../src/sys/tool.ts";

describe("toolFailure", () => {
  test.each([
    [
      "a missing command",
      Object.assign(new Error("spawn ip ENOENT"), { code: "ENOENT" }),
      "",
      "missing-tool",
      "iproute2",
    ],
    [
      "missing rights",
      new Error("exit 2"),
      "RTNETLINK answers: Operation not permitted\n",
      "missing-rights",
      '"ip link set x up" failed: RTNETLINK answers: Operation not permitted.',
    ],
    ["anything else", new Error("exit 1"), "Error: bad prefix.\nmore\n", "network-setup", "failed: Error: bad prefix."],
    ["silence", new Error("exit 1"), "", "network-setup", "failed: exit 1."],
  ])("tells %s", (_what, error, stderr, code, part) => {
    const failure = toolFailure({ program: "ip", package: "iproute2" }, error, stderr, "link set x up");
    expect(failure.code).toBe(code);
    expect(failure.message).toContain(part);
  });
});
