// The state directory, in a real folder.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type LoadedModule, sha256Of } from "../../../../src/control/state/loaded-module.ts";
import { type LoadedPair, MODULE_FOLDER, ModuleStore } from "../../../../src/control/state/module-store.ts";

const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

let folder: string;
let directory: string;
let modules: string; // the folder of the modules in it
let problems: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-state-"));
  directory = join(folder, "a", "state");
  modules = join(directory, MODULE_FOLDER);
  problems = [];
});

afterEach(() => rmSync(folder, { recursive: true }));

function loaded(number: number): LoadedModule {
  const bytes = Uint8Array.from([...EMPTY, 0, 2, 1, number]);
  const module = new WebAssembly.Module(EMPTY);
  return {
    module,
    bytes,
    sha256: sha256Of(bytes),
    source: `/srv/${number}.wasm`,
    loadedAt: new Date(0),
    isRemembered: true,
  };
}

/** A module loaded by number, and which one before it. */
function pair(current: number, previous?: number): LoadedPair {
  return {
    current: loaded(current),
    previous: previous === undefined ? undefined : loaded(previous),
    instead: undefined,
  };
}

function write(policies: Readonly<Record<string, LoadedPair>>, engine?: LoadedPair): void {
  const store = new ModuleStore(directory);
  try {
    store.write({ engine, policies: new Map(Object.entries(policies)) });
  } finally {
    store.close();
  }
}

function read() {
  return new ModuleStore(directory).read((name, message) => problems.push(`${name}: ${message}`));
}

test("nothing is there before the first module, and nothing is made for none", () => {
  write({});
  expect(existsSync(directory)).toBe(false);
  expect(read()).toEqual({ engine: undefined, policies: new Map() });
  expect(problems).toEqual([]);
});

test("what was written is read again, with its source", () => {
  write({ mine: pair(1), yours: pair(2, 5) }, pair(3, 4));
  const { engine, policies } = read();
  expect(policies.get("mine")).toMatchObject({ current: { source: "/srv/1.wasm" }, previous: undefined });
  expect(policies.get("yours")?.previous?.source).toBe("/srv/5.wasm");
  for (const [stored, number] of [
    [policies.get("yours")?.current, 2],
    [policies.get("yours")?.previous, 5],
    [engine?.current, 3],
    [engine?.previous, 4],
  ] as const) {
    expect(Buffer.from(stored?.bytes ?? [])).toEqual(Buffer.from(loaded(number).bytes));
  }
  expect(new ModuleStore(directory).policyNames()).toEqual(["mine", "yours"]);
});

test("modules that nobody names any more are removed, one that two name stays", () => {
  write({ mine: pair(1, 2), yours: pair(1) }, pair(3, 1));
  write({ yours: pair(4, 1) });
  write({ yours: pair(1) });
  expect(readdirSync(modules).sort()).toEqual([`${loaded(1).sha256}.wasm`, "index.json"].sort());
  write({});
  expect(readdirSync(modules)).toEqual(["index.json"]);
});

test.each([
  { what: "in force", file: 1, left: [undefined, "/srv/2.wasm"], said: /^mine: its file has changed/ },
  {
    what: "before",
    file: 2,
    left: ["/srv/1.wasm", undefined],
    said: /^mine: the one that a rollback led to: its file has changed/,
  },
])("a file of the module $what that has changed is told and skipped, the others are there", ({ file, left, said }) => {
  write({ mine: pair(1, 2), yours: pair(3) });
  writeFileSync(join(modules, `${loaded(file).sha256}.wasm`), "something else");
  const { policies } = read();
  const mine = policies.get("mine");
  expect([mine?.current?.source, mine?.previous?.source]).toEqual(left);
  expect(policies.get("yours")?.current?.source).toBe("/srv/3.wasm");
  expect(problems).toEqual([expect.stringMatching(said)]);
});

test("a file that is missing is told by its path", () => {
  write({ mine: pair(1, 2) });
  const path = join(modules, `${loaded(2).sha256}.wasm`);
  rmSync(path);
  expect(read().policies.get("mine")?.current?.source).toBe("/srv/1.wasm");
  expect(problems).toEqual([expect.stringContaining(path)]);
});

test.each([
  "no JSON",
  '{"format": 2, "policies": {}}',
  '{"format": 1, "policies": {"a": {"sha256": "../x", "source": "a"}}}',
])("an index of %s is told, and nothing is taken from it", (index) => {
  write({ mine: pair(1) });
  writeFileSync(join(modules, "index.json"), index);
  expect(read().policies.size).toBe(0);
  expect(new ModuleStore(directory).policyNames()).toEqual([]);
  expect(problems).toEqual([expect.stringContaining("index.json cannot be used")]);
});

test.each([
  ["whose links lead to each other", "loop/state"],
  ["whose name is too long", "n".repeat(300)],
  ["in what is no folder", "file/state"],
])("a state directory %s is told at the start, and does not end it", (_what, path) => {
  symlinkSync("loop", join(folder, "loop"));
  writeFileSync(join(folder, "file"), "");
  directory = join(folder, path);
  new ModuleStore(directory).claim();
  expect(read().policies.size).toBe(0);
  expect(problems).toEqual([expect.stringContaining("index.json cannot be used")]);
});

test("what else lies in the state directory stays, whatever it is called", () => {
  mkdirSync(modules, { recursive: true, mode: 0o700 });
  const foreign = `${loaded(9).sha256}.wasm`;
  const names = ["tls.key", "node.yaml", "index.json", foreign, `${foreign}.4711`, ".hidden"];
  for (const name of names) writeFileSync(join(directory, name), `mine: ${name}`);
  const beside = ["tls.key", foreign, "notes.new"];
  for (const name of beside) writeFileSync(join(modules, name), `mine: ${name}`);
  mkdirSync(join(modules, `${loaded(8).sha256}.wasm`));
  write({ mine: pair(1, 2) });
  write({ mine: pair(3) });
  write({});
  expect(readdirSync(directory).sort()).toEqual([...names, MODULE_FOLDER].sort());
  expect(readdirSync(modules).sort()).toEqual([...beside, `${loaded(8).sha256}.wasm`, "index.json"].sort());
  for (const name of names) expect(readFileSync(join(directory, name), "utf8")).toBe(`mine: ${name}`);
});

test("drafts that a crash left are removed, and nothing else that ends like one", () => {
  write({ mine: pair(1) });
  const drafts = [`index.json.${"0".repeat(16)}.new`, `${loaded(5).sha256}.wasm.${"a".repeat(16)}.new`];
  const others = [`tls.key.${"0".repeat(16)}.new`, "index.json.new"];
  for (const name of [...drafts, ...others]) writeFileSync(join(modules, name), "half");
  write({ mine: pair(2) });
  expect(readdirSync(modules).sort()).toEqual([...others, `${loaded(2).sha256}.wasm`, "index.json"].sort());
});

test("links are neither followed nor written through", () => {
  const outside = join(folder, "outside");
  writeFileSync(outside, "keep me");
  write({ mine: pair(1) });
  rmSync(join(modules, `${loaded(1).sha256}.wasm`));
  symlinkSync(outside, join(modules, `${loaded(1).sha256}.wasm`));
  symlinkSync(outside, join(modules, `${loaded(2).sha256}.wasm`));
  expect(read().policies.get("mine")?.current).toBeUndefined();
  expect(problems).toEqual([expect.stringContaining("found a link")]);
  write({ mine: pair(2) });
  expect(readFileSync(outside, "utf8")).toBe("keep me");
  expect(read().policies.get("mine")?.current?.source).toBe("/srv/2.wasm");
});

test("a folder that is a link, or that others may write to, is not used", () => {
  const elsewhere = join(folder, "elsewhere");
  mkdirSync(elsewhere);
  mkdirSync(directory, { recursive: true });
  symlinkSync(elsewhere, modules);
  expect(() => write({ mine: pair(1) })).toThrowError(/must be a folder; found a link/);
  expect(readdirSync(elsewhere)).toEqual([]);
  rmSync(modules);
  write({ mine: pair(1) });
  chmodSync(directory, 0o777);
  expect(() => write({ mine: pair(2) })).toThrowError(/found mode 0777/);
  expect(read().policies.size).toBe(0);
  expect(problems).toEqual([expect.stringContaining("found mode 0777")]);
});

test.each([
  ["half of it", (text: string) => text.slice(0, text.length / 2)],
  ["zeros", (text: string) => "\0".repeat(text.length)],
  ["nothing", () => ""],
])("an index of which %s is left is put beside, and the next change is written", (_what, damage) => {
  const index = join(modules, "index.json");
  write({ mine: pair(1) });
  const damaged = damage(readFileSync(index, "utf8"));
  writeFileSync(index, damaged);
  expect(read().policies.size).toBe(0);
  expect(problems).toEqual([expect.stringContaining("index.json cannot be used")]);
  write({ mine: pair(2) });
  expect(read().policies.get("mine")?.current?.source).toBe("/srv/2.wasm");
  expect(readFileSync(`${index}.damaged`, "utf8")).toBe(damaged);
});

test("an index that something else wrote is not replaced", () => {
  mkdirSync(modules, { recursive: true });
  writeFileSync(join(modules, "index.json"), '{"name": "another program"}');
  expect(() => write({ mine: pair(1) })).toThrowError(/index\.json is not what this program wrote; move it away/);
  expect(readdirSync(modules)).toEqual(["index.json"]);
});

test("one proxy has the directory at a time", () => {
  write({ mine: pair(1) });
  const first = new ModuleStore(directory);
  const second = new ModuleStore(directory);
  first.claim();
  for (const use of [() => second.claim(), () => second.write({ engine: undefined, policies: new Map() })]) {
    expect(use).toThrowError(
      expect.objectContaining({ code: "already-running", message: expect.stringContaining(directory) }),
    );
  }
  first.close();
  second.claim();
  second.close();
});
