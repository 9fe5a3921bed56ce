// Policies and engine from the state directory, from files and from commands, with real modules and no workers.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SapwoodError } from "../../../../src/base/errors.ts";
import { createLogger } from "../../../../src/base/log.ts";
import { loadBuiltModules } from "../../../../src/control/modules/built-modules.ts";
import type { PolicyFiles } from "../../../../src/control/modules/module-files.ts";
import { Modules } from "../../../../src/control/modules/modules.ts";
import { EventAlarms } from "../../../../src/control/observe/event-alarms.ts";
import { EventLog } from "../../../../src/control/observe/event-log.ts";
import { sha256Of } from "../../../../src/control/state/loaded-module.ts";
import { memoryPages } from "../../../../src/dataplane/modules/policy-module.ts";
import { builtModulePath } from "../../../../src/dataplane/modules/wasm.ts";

const built = await loadBuiltModules(new Date(0));
const POLICY = await readFile(builtModulePath("policies/round-robin"));
const FIRST = anotherFile(POLICY, 1);
const SECOND = anotherFile(POLICY, 2);
const THIRD = anotherFile(POLICY, 3);
const BAD = Uint8Array.of(1, 2, 3);
const WORKERS = {
  handPolicy: async () => ({ tookMs: 0, pauseMs: 0 }),
  handEngine: async () => ({ tookMs: 0, pauseMs: 0 }),
};

/** Another file of a module for each number: a custom section named "x" says it, and nothing else changes. */
function anotherFile(module: Uint8Array, number: number): Uint8Array {
  return Uint8Array.of(...module, 0, 3, 1, 0x78, number);
}

/** As a command loads one. */
const LOADED = { source: "/srv/mine.wasm", isRemembered: true };

let folder: string;
let opened: Modules[];
let lines: Record<string, unknown>[];
let bound: string[]; // policies that addresses stand for

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-modules-"));
  opened = [];
  lines = [];
  bound = [];
});

afterEach(async () => {
  for (const modules of opened) await modules.close();
  rmSync(folder, { recursive: true });
});

/** As a proxy does at its start, after the one before it ended. */
async function open(files: PolicyFiles = {}): Promise<Modules> {
  for (const before of opened.splice(0)) await before.close();
  const log = createLogger("info", { write: (line) => void lines.push(JSON.parse(line)) });
  const modules = await Modules.open({
    built,
    stateDirectory: join(folder, "state"),
    configFile: join(folder, "node.yaml"),
    files,
    callTimeMs: 50,
    memoryPagesMax: 256,
    candidates: () => [],
    uses: (policy) => (bound.includes(policy) ? ["10.30.0.1"] : []),
    clock: () => new Date(0),
    log,
    alarms: new EventAlarms(new EventLog({ clock: () => new Date(0), nowMs: () => performance.now() }), log),
  });
  opened.push(modules);
  return modules;
}

function write(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
  return path;
}

function errors(): unknown[] {
  return lines.filter(({ level }) => level === "error");
}

describe("over a restart", () => {
  test("modules of commands are there again, those that were rolled back are not", async () => {
    const before = await open();
    await before.policies.load("mine", FIRST, { source: "/srv/mine.wasm", isRemembered: true });
    await before.policies.load("closest", SECOND, { source: "/srv/closest.wasm", isRemembered: true });
    await before.policies.load("random", SECOND, { source: "/srv/random.wasm", isRemembered: true });
    await before.policies.rollback("random");
    await before.engine.load(built.engine.bytes, { source: "/srv/engine.wasm", isRemembered: true });
    bound.push("mine", "closest", "random");
    const after = await open();
    expect(after.policies.state("mine").current).toMatchObject({ source: "/srv/mine.wasm" });
    expect(after.policies.state("closest")).toMatchObject({
      current: { source: "/srv/closest.wasm" },
      previous: { source: "built-in" },
    });
    expect(after.policies.state("random").current?.source).toBe("built-in");
    expect(after.engine.current.source).toBe("/srv/engine.wasm");
  });

  test("a change that cannot be written down says that it is in force, and will not survive", async () => {
    const modules = await open();
    writeFileSync(join(folder, "state"), "a file in the way");
    const load = modules.written(modules.policies.load("mine", FIRST, LOADED));
    await expect(load).rejects.toMatchObject({
      code: "not-remembered",
      message: expect.stringMatching(/in force, but will not survive a restart of the proxy: .*state/),
    });
    expect(modules.policies.state("mine").current?.source).toBe("/srv/mine.wasm");
    await expect(modules.written(modules.policies.load("mine", SECOND, LOADED))).rejects.toThrow();
    rmSync(join(folder, "state"));
    // Without another order.
    await expect
      .poll(() => existsSync(join(folder, "state/sapwood-modules/index.json")), { timeout: 60_000 })
      .toBe(true);
    expect(lines.map(({ event }) => event).filter(Boolean)).toEqual(["state-unwritable", "recovered"]);
    bound.push("mine");
    expect((await open()).policies.state("mine").current?.sha256).toBe(sha256Of(SECOND));
  });

  test("a rollback leads to the module that was in force before, then to the built-in one", async () => {
    const before = await open();
    const engineBefore = anotherFile(built.engine.bytes, 1);
    await before.policies.load("closest", THIRD, { source: "/srv/0.wasm", isRemembered: true });
    await before.policies.load("closest", FIRST, { source: "/srv/1.wasm", isRemembered: true });
    await before.policies.load("closest", SECOND, { source: "/srv/2.wasm", isRemembered: true });
    await before.engine.load(engineBefore, { source: "/srv/engine-1.wasm", isRemembered: true });
    await before.engine.load(built.engine.bytes, { source: "/srv/engine-2.wasm", isRemembered: true });
    bound.push("closest");
    const { policies, engine } = await open();
    expect(policies.state("closest").current?.source).toBe("/srv/2.wasm");
    expect((await policies.rollback("closest")).current?.source).toBe("/srv/1.wasm");
    expect((await engine.rollback()).current.source).toBe("/srv/engine-1.wasm");
    const after = await open(); // the rollback is remembered as well
    expect(after.policies.state("closest").current?.source).toBe("/srv/1.wasm");
    expect((await after.policies.rollback("closest")).current?.source).toBe("built-in");
    expect((await after.engine.rollback()).current.source).toBe("built-in");
  });

  test.each([
    { what: "before", broken: FIRST, inForce: "/srv/2.wasm", previous: "built-in" },
    { what: "in force", broken: SECOND, inForce: "/srv/1.wasm", previous: "built-in" },
  ])(
    "a broken file of the module $what is told and takes nothing else along",
    async ({ broken, inForce, previous }) => {
      const before = await open();
      await before.policies.load("closest", FIRST, { source: "/srv/1.wasm", isRemembered: true });
      await before.policies.load("closest", SECOND, { source: "/srv/2.wasm", isRemembered: true });
      write(`state/sapwood-modules/${sha256Of(broken)}.wasm`, BAD);
      bound.push("closest");
      const { policies } = await open();
      expect(policies.state("closest")).toMatchObject({ current: { source: inForce }, previous: { source: previous } });
      expect(errors()).toMatchObject([{ subject: "closest", msg: expect.stringContaining("its file has changed") }]);
    },
  );

  test("one that is refused by then is told and skipped; its name stays known", async () => {
    const before = await open();
    await before.policies.load("mine", FIRST, { source: "/srv/mine.wasm", isRemembered: true });
    const sha256 = before.policies.state("mine").current?.sha256 ?? "";
    write(`state/sapwood-modules/${sha256}.wasm`, BAD);
    bound.push("mine");
    const after = await open();
    expect(after.policies.names).toContain("mine");
    expect(after.policies.state("mine").current).toBeUndefined();
    const told = { event: "state-unusable", subject: "mine", msg: expect.stringContaining("its file has changed") };
    expect(errors()).toMatchObject([told]);
  });
});

describe("what is remembered and not needed at the start", () => {
  const NAMES = 300;

  /** A state directory with so many policies, as it was left behind. */
  function remember(count: number): string[] {
    const sha256 = sha256Of(FIRST);
    const names = Array.from({ length: count }, (_, i) => `policy-${i}`);
    mkdirSync(join(folder, "state/sapwood-modules"), { recursive: true });
    write(`state/sapwood-modules/${sha256}.wasm`, FIRST);
    const policies = Object.fromEntries(names.map((name) => [name, { sha256, source: "/srv/a.wasm" }]));
    write("state/sapwood-modules/index.json", Buffer.from(JSON.stringify({ format: 1, policies })));
    return names;
  }

  test("is loaded after it, while what is needed is there at once", async () => {
    remember(6);
    bound.push("policy-4");
    const modules = await open();
    const loaded = () =>
      modules.policies
        .states()
        .filter(({ current }) => current?.source === "/srv/a.wasm")
        .map(({ name }) => name);
    expect(loaded()).toEqual(["policy-4"]);
    expect(modules.policies.names).toContain("policy-5");
    await modules.connect(WORKERS, modules.forWorkers());
    await expect.poll(loaded).toHaveLength(6);
  });

  test("stays remembered when something else changes meanwhile, and is there for a rollback or an unload", async () => {
    remember(3);
    const before = await open();
    await before.policies.load("mine", SECOND, { source: "/srv/mine.wasm", isRemembered: true });
    await before.policies.unload("policy-2");
    bound.push("mine", "policy-0", "policy-1");
    const { policies } = await open();
    const sources = ["mine", "policy-0", "policy-1"].map((name) => policies.state(name).current?.source);
    expect(sources).toEqual(["/srv/mine.wasm", "/srv/a.wasm", "/srv/a.wasm"]);
    expect(policies.names).not.toContain("policy-2");
  });

  test("and is more than there is room for is told and skipped; what is needed comes first", async () => {
    const names = remember(NAMES);
    bound.push("policy-299");
    const { policies } = await open();
    expect(policies.state("policy-299").current?.source).toBe("/srv/a.wasm");
    expect(policies.names).toHaveLength(256);
    expect(errors()).toHaveLength(NAMES - (256 - built.policies.length));
    expect(errors()).toEqual(errors().map(() => expect.objectContaining({ event: "state-unusable" })));
    expect(names.filter((name) => policies.names.includes(name))).toHaveLength(256 - built.policies.length);
  });

  test("does not keep the proxy from ending", async () => {
    remember(40);
    const modules = await open();
    await modules.connect(WORKERS, modules.forWorkers());
    await modules.close();
    expect(modules.policies.deferred.length).toBeGreaterThan(20);
  });
});

describe("files of the configuration", () => {
  const files = { closest: { file: "./closest.wasm" }, mine: { file: "./mine.wasm" } };

  test("are in force from the start", async () => {
    write("closest.wasm", FIRST);
    write("mine.wasm", FIRST);
    const { policies } = await open(files);
    expect(policies.state("closest").current?.source).toBe(join(folder, "closest.wasm"));
    expect(policies.state("mine").current?.source).toBe(join(folder, "mine.wasm"));
  });

  test("give way to what a command loaded after them, also at the next start, until they change", async () => {
    const path = write("closest.wasm", FIRST);
    const before = await open({ closest: files.closest });
    await before.policies.load("closest", SECOND, { source: "/srv/other.wasm", isRemembered: true });
    const { policies } = await open({ closest: files.closest });
    expect(policies.state("closest")).toMatchObject({
      current: { source: "/srv/other.wasm" },
      previous: { source: path },
    });
    write("closest.wasm", THIRD);
    const after = await open({ closest: files.closest });
    expect(after.policies.state("closest").current?.source).toBe(path);
    expect(lines.filter(({ msg }) => String(msg).includes("newer"))).toMatchObject([
      { msg: "the file is newer than the module that a command loaded, and is in force in its place" },
    ]);
  });

  test("come before what a command loaded when there was no file yet", async () => {
    const path = write("closest.wasm", FIRST);
    write("mine.wasm", FIRST);
    await (await open()).policies.load("closest", SECOND, { source: "/srv/other.wasm", isRemembered: true });
    const { policies } = await open(files);
    expect(policies.state("closest").current?.source).toBe(path);
    expect(policies.state("mine").current?.source).toBe(join(folder, "mine.wasm"));
  });

  test("that are missing or refused leave their names known, and the built-in module in force", async () => {
    write("closest.wasm", BAD);
    const { policies } = await open(files);
    expect(policies.state("closest")).toMatchObject({ current: { source: "built-in" }, fault: expect.anything() });
    expect(policies.state("mine")).toMatchObject({ current: undefined, fault: expect.anything() });
    expect(errors()).toHaveLength(2);
  });

  test("replace the policy when they are replaced; a bad one leaves it in force until the next good one", async () => {
    write("closest.wasm", FIRST);
    write("mine.wasm", FIRST);
    const modules = await open(files);
    const given = modules.forWorkers();
    await modules.connect(WORKERS, given);
    const { policies } = modules;
    const first = policies.state("closest").current?.sha256;
    write("closest.wasm", SECOND);
    await expect.poll(() => policies.state("closest").current?.sha256).not.toBe(first);
    const second = policies.state("closest").current?.sha256;
    write("closest.wasm", BAD);
    await expect.poll(() => policies.state("closest").fault?.message).toContain("no valid WebAssembly");
    expect(policies.state("closest").current?.sha256).toBe(second);
    write("closest.wasm", FIRST);
    await expect.poll(() => policies.state("closest").current?.sha256).toBe(first);
    expect(policies.state("closest").fault).toBeUndefined();
  });

  test("that the configuration does not name any more are not followed", async () => {
    write("closest.wasm", FIRST);
    const modules = await open({ closest: files.closest });
    await modules.connect(WORKERS, modules.forWorkers());
    await modules.files.follow({ mine: { file: "./mine.wasm" } });
    write("closest.wasm", SECOND);
    const path = write("mine.wasm", FIRST); // told after the other: when this one is there, the other would be, too
    await expect.poll(() => modules.policies.state("mine").current?.source).toBe(path);
    expect(modules.policies.state("closest").current?.source).toBe(join(folder, "closest.wasm"));
    expect(Buffer.from(modules.policies.state("closest").current?.bytes ?? [])).toEqual(Buffer.from(FIRST));
  });
});

describe("an engine that fails", () => {
  test.each([
    ["a trap", new SapwoodError("internal", "The engine failed: unreachable."), true],
    ["a lost device, which no engine can help", new SapwoodError("system-call", "The device was deleted."), false],
  ])("in a worker by %s", async (_what, failure, isReplaced) => {
    const { engine } = await open();
    await engine.load(built.engine.bytes, { source: "/srv/engine.wasm", isRemembered: true });
    expect(engine.onFailed(failure)).toBe(isReplaced);
    expect(engine.current.source).toBe(isReplaced ? "built-in" : "/srv/engine.wasm");
  });

  test("and comes with the package stays; its worker is ended when it had five times the limit", async () => {
    const { engine } = await open();
    expect([1, 4, 5].map((times) => engine.onOverdue(times))).toEqual([false, false, true]);
    expect(engine.state()).toMatchObject({ current: { source: "built-in" }, fault: { message: "did not return" } });
  });

  test("by not returning is replaced by the one before", async () => {
    const { engine } = await open();
    await engine.load(built.engine.bytes, { source: "/srv/engine.wasm", isRemembered: true });
    expect(engine.onOverdue(1)).toBe(true);
    expect(engine.state()).toMatchObject({
      current: { source: "built-in" },
      fault: { message: "did not return, and was taken out of force" },
    });
  });
});

test.each([
  [65_536, 1],
  [65_537, 1],
  [16 * 2 ** 20, 256],
])("%i bytes of memory are %i pages", (bytes, pages) => {
  expect(memoryPages(bytes)).toBe(pages);
});
