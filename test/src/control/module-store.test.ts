// The state directory, in a real folder.
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type LoadedModule, sha256Of } from "../../../src/control/loaded-module.ts";
import { ModuleStore } from "../../../src/control/module-store.ts";

const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

let folder: string;
let directory: string;
let problems: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-state-"));
  directory = join(folder, "a", "state");
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

function write(policies: Readonly<Record<string, LoadedModule>>, engine?: LoadedModule): void {
  new ModuleStore(directory).write({ engine, policies: new Map(Object.entries(policies)) });
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
  write({ mine: loaded(1), yours: loaded(2) }, loaded(3));
  const { engine, policies } = read();
  expect(policies.get("mine")?.source).toBe("/srv/1.wasm");
  expect(Buffer.from(policies.get("yours")?.bytes ?? [])).toEqual(Buffer.from(loaded(2).bytes));
  expect(Buffer.from(engine?.bytes ?? [])).toEqual(Buffer.from(loaded(3).bytes));
  expect(new ModuleStore(directory).policyNames()).toEqual(["mine", "yours"]);
});

test("modules that nobody names any more are removed, one that two name stays", () => {
  write({ mine: loaded(1), yours: loaded(1) }, loaded(3));
  write({ yours: loaded(1) });
  expect(readdirSync(directory).sort()).toEqual([`${loaded(1).sha256}.wasm`, "index.json"].sort());
  write({});
  expect(readdirSync(directory)).toEqual(["index.json"]);
});

test("a file that has changed is told and skipped, the others are there", () => {
  write({ mine: loaded(1), yours: loaded(2) });
  writeFileSync(join(directory, `${loaded(1).sha256}.wasm`), "something else");
  expect([...read().policies.keys()]).toEqual(["yours"]);
  expect(problems).toEqual([expect.stringMatching(/^mine: its file has changed/)]);
});

test.each([
  "no JSON",
  '{"format": 2, "policies": {}}',
  '{"format": 1, "policies": {"a": {"sha256": "../x", "source": "a"}}}',
])("an index of %s is told, and nothing is taken from it", (index) => {
  write({ mine: loaded(1) });
  writeFileSync(join(directory, "index.json"), index);
  expect(read().policies.size).toBe(0);
  expect(new ModuleStore(directory).policyNames()).toEqual([]);
  expect(problems).toEqual([expect.stringContaining("index.json cannot be used")]);
});
