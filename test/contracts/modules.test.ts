// What the compiled modules ask for and offer: nothing else may be reached from inside them.
import { describe, expect, test } from "vitest";
import { LAYOUT_VERSION } from "../../assembly/shared/layout/version.ts";
import { POLICY_PAGES_MAX, PolicyExport } from "../../assembly/shared/policies.ts";
import type { EngineExports } from "../../src/dataplane/modules/engine-contract.ts";
import { POLICY_SHAPE } from "../../src/dataplane/modules/policy-module.ts";
import { checkBytes, ENGINE_SHAPE } from "../../src/dataplane/modules/wasm.ts";
import { bytes, sourcesBelow } from "../support/source-files.ts";

/** Each export of the engine with the number of its parameters; tsc refuses a missing or a wrong one. */
const ENGINE_EXPORTS: { readonly [Name in keyof EngineExports]: Parameters<EngineExports[Name]>["length"] } = {
  layoutVersion: 0,
  attach: 2,
  egress: 3,
  ingress: 3,
  probe: 1,
  sweep: 2,
  unpark: 1,
  udpRejected: 2,
  pathError: 4,
};
const POLICY_EXPORTS = [PolicyExport.abiVersion, PolicyExport.reserve, PolicyExport.update, PolicyExport.choose];
const POLICIES = sourcesBelow("assembly/policy")
  .map((path) => path.slice("assembly/policy/".length, -".ts".length))
  .filter((name) => name !== "sdk");
const SHARED_PAGES_MAX = 65536;

// WebAssembly binary format, section ids
const START = 8;
const DATA = 11;

function load(path: string): { module: WebAssembly.Module; sections: number[] } {
  const code = bytes(`dist/wasm/${path}`);
  return { module: new WebAssembly.Module(code), sections: sectionsOf(code) };
}

function sectionsOf(code: Uint8Array): number[] {
  const sections: number[] = [];
  let at = 8; // after magic and version
  const leb128 = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = code[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < code.length) {
    sections.push(code[at++] ?? 0);
    const size = leb128(); // moves `at` behind itself first
    at += size;
  }
  return sections;
}

function importNames(module: WebAssembly.Module): string[] {
  return WebAssembly.Module.imports(module).map((each) => `${each.module}.${each.name}: ${each.kind}`);
}

describe.each(["engine", "workbench"])("%s.wasm, on the shared memory", (name) => {
  const { module, sections } = load(`${name}.wasm`);

  test("imports the memory and the choice of an instance, and nothing else", () => {
    const allowed = ["env.memory: memory", "policy.choose: function"];
    expect(importNames(module)).toContain("env.memory: memory");
    expect(importNames(module).filter((each) => !allowed.includes(each))).toEqual([]);
  });

  test("has neither data segments nor a start function, which would run again in every worker", () => {
    expect(sections).not.toContain(DATA);
    expect(sections).not.toContain(START);
  });

  test("takes a shared memory of any size", () => {
    for (const initial of [1, 1024]) {
      const memory = new WebAssembly.Memory({ initial, maximum: SHARED_PAGES_MAX, shared: true });
      expect(() => new WebAssembly.Instance(module, { env: { memory }, policy: { choose: () => -1 } })).not.toThrow();
    }
  });
});

describe("engine.wasm", () => {
  const { module } = load("engine.wasm");

  test("exports what the host expects, and nothing else", () => {
    const exported = WebAssembly.Module.exports(module).map((each) => each.name);
    expect(exported.sort()).toEqual(Object.keys(ENGINE_EXPORTS).sort());
  });

  test("is built for this layout, with the parameters that the host passes", () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const { exports } = new WebAssembly.Instance(module, { env: { memory }, policy: { choose: () => -1 } });
    const functions = exports as unknown as Record<string, (...args: number[]) => number>;
    expect(functions.layoutVersion?.()).toBe(LAYOUT_VERSION);
    const counts = Object.fromEntries(Object.keys(ENGINE_EXPORTS).map((name) => [name, functions[name]?.length]));
    expect(counts).toEqual(ENGINE_EXPORTS);
  });
});

test("the engine and the policies of the package are within the limits, to which no start holds them", () => {
  for (const name of ["engine", ...POLICIES.map((policy) => `policies/${policy}`)]) {
    const shape = name === "engine" ? ENGINE_SHAPE : POLICY_SHAPE;
    expect(() => checkBytes(bytes(`dist/wasm/${name}.wasm`), shape, name)).not.toThrow();
  }
});

describe("policies", () => {
  test("there are some", () => {
    expect(POLICIES).toEqual(expect.arrayContaining(["closest", "round-robin"]));
  });

  test.each(POLICIES)("%s is sealed: it imports nothing, and its own memory has a limit", (name) => {
    const { module } = load(`policies/${name}.wasm`);
    expect(importNames(module).filter((each) => each !== "env.abort: function")).toEqual([]);
    const instance = new WebAssembly.Instance(module, { env: { abort: () => {} } });
    const memory = instance.exports.memory as WebAssembly.Memory;
    expect(memory.buffer).toBeInstanceOf(ArrayBuffer);
    const pages = memory.buffer.byteLength / 65536;
    expect(() => memory.grow(POLICY_PAGES_MAX + 1 - pages)).toThrow(RangeError);
  });

  test.each(POLICIES)("%s exports what every policy has", (name) => {
    const exported = WebAssembly.Module.exports(load(`policies/${name}.wasm`).module).map((each) => each.name);
    expect(exported).toEqual(expect.arrayContaining(POLICY_EXPORTS.map((each) => PolicyExport[each])));
  });
});
