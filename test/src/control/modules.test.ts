// Policies and engine from the state directory, from files and from commands, with real modules and no workers.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadBuiltModules } from "../../../src/control/built-modules.ts";
import { sha256Of } from "../../../src/control/loaded-module.ts";
import type { PolicyFiles } from "../../../src/control/module-files.ts";
import { Modules, memoryPages } from "../../../src/control/modules.ts";
import { SapwoodError } from "../../../src/errors.ts";
import { createLogger } from "../../../src/log.ts";
import { binaryOfEngine } from "../../support/engine-source.ts";
import { binaryOf, policySource } from "../../support/policy-source.ts";

const built = await loadBuiltModules(new Date(0));
const FIRST = await binaryOf(policySource());
const SECOND = await binaryOf(policySource({}, "export function second(): i32 { return 2; }"));
const THIRD = await binaryOf(policySource({}, "export function third(): i32 { return 3; }"));
const BAD = Uint8Array.of(1, 2, 3);
const WORKERS = {
  handPolicy: async () => ({ tookMs: 0, pauseMs: 0 }),
  handEngine: async () => ({ tookMs: 0, pauseMs: 0 }),
};

let folder: string;
let opened: Modules[];
let lines: Record<string, unknown>[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-modules-"));
  opened = [];
  lines = [];
});

afterEach(async () => {
  for (const modules of opened) await modules.close();
  rmSync(folder, { recursive: true });
});

/** As a proxy does at its start, after the one before it ended. */
async function open(files: PolicyFiles = {}): Promise<Modules> {
  for (const before of opened.splice(0)) await before.close();
  const modules = await Modules.open({
    built,
    stateDirectory: join(folder, "state"),
    configFile: join(folder, "node.yaml"),
    files,
    callTimeMs: 50,
    memoryPagesMax: 256,
    candidates: () => [],
    clock: () => new Date(0),
    log: createLogger("info", { write: (line) => void lines.push(JSON.parse(line)) }),
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
    await before.policies.load("mine", FIRST, "/srv/mine.wasm", true);
    await before.policies.load("closest", SECOND, "/srv/closest.wasm", true);
    await before.policies.load("random", SECOND, "/srv/random.wasm", true);
    await before.policies.rollback("random");
    await before.engine.load(built.engine.bytes, "/srv/engine.wasm", true);
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
    const load = modules.written(modules.policies.load("mine", FIRST, "/srv/mine.wasm", true));
    await expect(load).rejects.toMatchObject({
      code: "not-remembered",
      message: expect.stringMatching(/in force, but will not survive a restart of the proxy: .*state/),
    });
    expect(modules.policies.state("mine").current?.source).toBe("/srv/mine.wasm");
    rmSync(join(folder, "state"));
    await modules.written(modules.policies.load("mine", SECOND, "/srv/mine.wasm", true));
    expect((await open()).policies.state("mine").current?.sha256).toBe(sha256Of(SECOND));
  });

  test("a rollback leads to the module that was in force before, then to the built-in one", async () => {
    const before = await open();
    const engineBefore = await binaryOfEngine("assembly/engine.ts", /const EIO = 5;/, "const EIO = 6;");
    await before.policies.load("closest", THIRD, "/srv/0.wasm", true);
    await before.policies.load("closest", FIRST, "/srv/1.wasm", true);
    await before.policies.load("closest", SECOND, "/srv/2.wasm", true);
    await before.engine.load(engineBefore, "/srv/engine-1.wasm", true);
    await before.engine.load(built.engine.bytes, "/srv/engine-2.wasm", true);
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
      await before.policies.load("closest", FIRST, "/srv/1.wasm", true);
      await before.policies.load("closest", SECOND, "/srv/2.wasm", true);
      write(`state/sapwood-modules/${sha256Of(broken)}.wasm`, BAD);
      const { policies } = await open();
      expect(policies.state("closest")).toMatchObject({ current: { source: inForce }, previous: { source: previous } });
      expect(errors()).toMatchObject([{ module: "closest", msg: expect.stringContaining("its file has changed") }]);
    },
  );

  test("one that is refused by then is told and skipped; its name stays known", async () => {
    const before = await open();
    await before.policies.load("mine", FIRST, "/srv/mine.wasm", true);
    const sha256 = before.policies.state("mine").current?.sha256 ?? "";
    write(`state/${sha256}.wasm`, BAD);
    const after = await open();
    expect(after.policies.names).toContain("mine");
    expect(after.policies.state("mine").current).toBeUndefined();
    expect(errors()).toMatchObject([{ module: "mine", msg: expect.stringContaining("its file has changed") }]);
  });
});

describe("files of the configuration", () => {
  const files = { closest: { file: "./closest.wasm" }, mine: { file: "./mine.wasm" } };

  test("are in force from the start, and come before what is remembered", async () => {
    const path = write("closest.wasm", FIRST);
    write("mine.wasm", FIRST);
    await (await open()).policies.load("closest", SECOND, "/srv/other.wasm", true);
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
    await expect.poll(() => policies.state("closest").current?.sha256, { timeout: 10_000 }).not.toBe(first);
    const second = policies.state("closest").current?.sha256;
    write("closest.wasm", BAD);
    await expect
      .poll(() => policies.state("closest").fault?.message, { timeout: 10_000 })
      .toContain("no valid WebAssembly");
    expect(policies.state("closest").current?.sha256).toBe(second);
    write("closest.wasm", FIRST);
    await expect.poll(() => policies.state("closest").current?.sha256, { timeout: 10_000 }).toBe(first);
    expect(policies.state("closest").fault).toBeUndefined();
  });

  test("that the configuration does not name any more are not followed", async () => {
    write("closest.wasm", FIRST);
    const modules = await open({ closest: files.closest });
    await modules.connect(WORKERS, modules.forWorkers());
    await modules.files.follow({ mine: { file: "./mine.wasm" } });
    write("closest.wasm", SECOND);
    const path = write("mine.wasm", FIRST); // told after the other: when this one is there, the other would be, too
    await expect.poll(() => modules.policies.state("mine").current?.source, { timeout: 10_000 }).toBe(path);
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
    await engine.load(built.engine.bytes, "/srv/engine.wasm", true);
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
    await engine.load(built.engine.bytes, "/srv/engine.wasm", true);
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
