// Kernel parameters set and put back, over a map that stands for /proc/sys.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SysctlStore } from "../../../src/sys/kernel-sysctls.ts";
import { readState, SysctlSession } from "../../../src/sys/sysctl.ts";

const FORWARD = "net/ipv4/ip_forward";
const FILTER = "net/ipv4/conf/tun.7/rp_filter";

class FakeKernel implements SysctlStore {
  readonly values = new Map([
    [FORWARD, "0"],
    [FILTER, "2"],
  ]);
  readonly writes: string[] = [];
  refusal: string | undefined; // errno name

  read(path: string): string {
    const value = this.values.get(path);
    if (value === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
    return value;
  }

  write(path: string, value: string): void {
    if (this.refusal !== undefined) throw Object.assign(new Error(`${this.refusal}: write`), { code: this.refusal });
    this.writes.push(`${path}=${value}`);
    this.values.set(path, value);
  }
}

let directory: string;
let stateFile: string;
let kernel: FakeKernel;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "sapwood-"));
  stateFile = join(directory, "run", "tun.state.json");
  kernel = new FakeKernel();
  living = new Set([OWN, OTHER]);
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

const OWN = "100 7";
const OTHER = "200 8";
let living: Set<string>;

function open(scope = "boot namespace", own = OWN): SysctlSession {
  return new SysctlSession(stateFile, scope, kernel, { own, isAlive: (name) => living.has(name) });
}

function change(session: SysctlSession): void {
  session.set({ path: FORWARD, value: "1" });
  session.set({ path: FILTER, value: "0" });
}

test("changes are put back in reverse order, and the state file goes", () => {
  const session = open();
  change(session);
  expect(Object.fromEntries(kernel.values)).toEqual({ [FORWARD]: "1", [FILTER]: "0" });
  expect(existsSync(stateFile)).toBe(true);
  expect(session.restore()).toEqual([]);
  expect(kernel.writes.slice(2)).toEqual([`${FILTER}=2`, `${FORWARD}=0`]);
  expect(existsSync(stateFile)).toBe(false);
});

test("restoring twice writes once", () => {
  const session = open();
  change(session);
  session.restore();
  session.restore();
  expect(kernel.writes).toHaveLength(4);
});

test("a value that holds already is neither written nor recorded", () => {
  const session = open();
  session.set({ path: FORWARD, value: "0" });
  session.restore();
  expect(kernel.writes).toEqual([]);
});

test.each([
  ["1", "2"],
  ["0", "0"],
])("a parameter that is changed only from 1 becomes, from %s, %s", (found, left) => {
  kernel.values.set(FORWARD, found);
  open().set({ path: FORWARD, value: "2", onlyFrom: "1" });
  expect(kernel.values.get(FORWARD)).toBe(left);
});

test("what somebody else changed meanwhile stays", () => {
  const session = open();
  change(session);
  kernel.values.set(FILTER, "1");
  session.restore();
  expect(Object.fromEntries(kernel.values)).toEqual({ [FORWARD]: "0", [FILTER]: "1" });
});

test("a parameter of an interface that is gone is no failure", () => {
  const session = open();
  change(session);
  kernel.values.delete(FILTER);
  expect(session.restore()).toEqual([]);
  expect(kernel.values.get(FORWARD)).toBe("0");
});

describe("of two proxies in one network namespace", () => {
  test.each([
    ["the first", 0],
    ["the second", 1],
  ])("%s may stop without taking forwarding from the other, which puts it back at its end", (_, leaving) => {
    const sessions = [open(), open("boot namespace", OTHER)];
    for (const session of sessions) change(session);
    sessions[leaving]?.restore();
    expect(Object.fromEntries(kernel.values)).toEqual({ [FORWARD]: "1", [FILTER]: "0" });
    sessions[1 - leaving]?.restore();
    expect(Object.fromEntries(kernel.values)).toEqual({ [FORWARD]: "0", [FILTER]: "2" });
    expect(existsSync(stateFile)).toBe(false);
  });

  test("one that was killed keeps nothing from being put back", () => {
    const session = open();
    change(session);
    change(open("boot namespace", OTHER));
    living.delete(OTHER);
    session.restore();
    expect(Object.fromEntries(kernel.values)).toEqual({ [FORWARD]: "0", [FILTER]: "2" });
  });
});

test("a state file in a folder that others may write to is not believed", () => {
  change(open());
  chmodSync(join(directory, "run"), 0o777);
  const session = open();
  expect(session.restore()).toEqual([expect.stringContaining("found mode 0777")]);
  expect(kernel.values.get(FORWARD)).toBe("1");
});

describe("after a crash", () => {
  test("the values from before the first start come back", () => {
    change(open());
    const second = open();
    change(second);
    second.restore();
    expect(Object.fromEntries(kernel.values)).toEqual({ [FORWARD]: "0", [FILTER]: "2" });
  });

  test("a parameter that was reset with its interface keeps its first original", () => {
    change(open());
    kernel.values.set(FILTER, "1"); // the new interface has another default
    const second = open();
    change(second);
    expect(kernel.values.get(FILTER)).toBe("0");
    second.restore();
    expect(kernel.values.get(FILTER)).toBe("2");
  });

  test("a state of another boot or network namespace is not ours to restore", () => {
    change(open("earlier boot"));
    const second = open();
    second.restore();
    expect(kernel.values.get(FORWARD)).toBe("1");
  });
});

describe("a state file", () => {
  test.each([
    ["not JSON", "{"],
    ["a list", "[]"],
    ["without changes", '{"scope":"boot namespace"}'],
    ["leading out of /proc/sys", stateWith("net/../../../etc/passwd")],
    ["of a parameter that is not the network's", stateWith("kernel/core_pattern")],
  ])("that is %s is ignored", (_what, content) => {
    open().set({ path: FORWARD, value: "1" });
    writeFileSync(stateFile, content);
    expect(readState(stateFile)).toBeUndefined();
    kernel.writes.length = 0;
    open().restore();
    expect(kernel.writes).toEqual([]);
  });

  test.each([
    ["EROFS", "network-setup"],
    ["EACCES", "missing-rights"],
  ])("holds the originals before the first write, which may fail with %s", (refusal, code) => {
    kernel.refusal = refusal;
    expect(() => open().set({ path: FORWARD, value: "1" })).toThrowError(
      expect.objectContaining({
        code,
        message: `The kernel parameter ${FORWARD} must be 1, found 0, and setting it failed: ${refusal}: write.`,
      }),
    );
    expect(JSON.parse(readFileSync(stateFile, "utf8")).changes).toEqual([
      { path: FORWARD, original: "0", value: "1", users: ["100 7"] },
    ]);
  });

  test("that cannot be written stops the set-up", () => {
    writeFileSync(join(directory, "run"), "a file in the way");
    expect(() => open().set({ path: FORWARD, value: "1" })).toThrowError(
      expect.objectContaining({ code: "network-setup", message: expect.stringContaining(stateFile) }),
    );
    expect(kernel.writes).toEqual([]);
  });
});

test("a parameter that does not exist is named", () => {
  expect(() => open().set({ path: "net/none", value: "1" })).toThrowError(/kernel parameter net\/none/);
});

function stateWith(path: string): string {
  return JSON.stringify({ scope: "boot namespace", changes: [{ path, original: "0", value: "1" }] });
}
