// Modules held against what the host expects, with binaries written out by hand.
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { LAYOUT_VERSION } from "../../../../assembly/shared/layout/version.ts";
import { ENGINE_RULES } from "../../../../src/dataplane/modules/module-limits.ts";
import {
  builtModulePath,
  compileBytes,
  compileFile,
  ENGINE_SHAPE,
  instantiateEngine,
  type ModuleShape,
} from "../../../../src/dataplane/modules/wasm.ts";

const SHAPE: ModuleShape = {
  kind: "toy",
  exports: { go: "function" },
  imports: { "env.memory": "memory" },
  signatures: {},
  rules: ENGINE_RULES,
};

/** Sections of the binary format (WebAssembly core specification, section 5.5); all sizes below 128. */
const section = (id: number, ...body: readonly number[]): number[] => [id, body.length, ...body];
const text = (value: string): number[] => [value.length, ...Buffer.from(value)];

/** A module whose exports are all the same function () -> i32 that returns `result`. */
function moduleBytes(exports: readonly string[], imports: readonly (readonly [string, string])[] = [], result = 0) {
  const functionIndex = imports.length;
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 1, 0x60, 0, 1, 0x7f),
    ...section(2, imports.length, ...imports.flatMap(([from, name]) => [...text(from), ...text(name), 0, 0])),
    ...section(3, 1, 0),
    ...section(7, exports.length, ...exports.flatMap((name) => [...text(name), 0, functionIndex])),
    ...section(10, 1, 4, 0, 0x41, result, 0x0b),
  ]);
}

describe("a module", () => {
  test("that exports more than it must and imports nothing is taken", async () => {
    await expect(compileBytes(moduleBytes(["go", "more"]), SHAPE, "m")).resolves.toBeInstanceOf(WebAssembly.Module);
  });

  test.each([
    ["lacks an export", ["stop"], [], 'must export the function "go"; found stop.'],
    ["exports nothing", [], [], 'must export the function "go"; found no exports.'],
    ["imports more", ["go"], [["env", "fetch"]], 'may import only env.memory; found the function "env.fetch".'],
    [
      "imports another kind",
      ["go"],
      [["env", "memory"]],
      'may import only env.memory; found the function "env.memory".',
    ],
  ] as const)("that %s is refused", async (_what, exports, imports, part) => {
    await expect(compileBytes(moduleBytes(exports, imports), SHAPE, "m.wasm")).rejects.toMatchObject({
      code: "module-refused",
      message: `The toy module m.wasm ${part}`,
    });
  });

  test("whose export is of another kind is refused by that kind", async () => {
    const shape: ModuleShape = { ...SHAPE, exports: { go: "memory" } };
    await expect(compileBytes(moduleBytes(["go"]), shape, "m")).rejects.toThrowError(
      'must export the memory "go"; found a function.',
    );
  });

  test.each([
    ["empty", new Uint8Array(0)],
    ["text", Buffer.from("no module")],
    ["cut off", moduleBytes(["go"]).subarray(0, 30)],
  ])("that is %s is refused", async (_what, bytes) => {
    await expect(compileBytes(bytes, SHAPE, "m")).rejects.toMatchObject({
      code: "module-refused",
      message: expect.stringMatching(/^The toy module m (?:is no valid|must be) WebAssembly/),
    });
  });

  test("is read from its file, or the file is named", async () => {
    const directory = await mkdtemp(join(tmpdir(), "sapwood-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    const path = join(directory, "go.wasm");
    await expect(compileFile(path, SHAPE)).rejects.toMatchObject({
      code: "module-refused",
      message: expect.stringContaining(path),
    });
    writeFileSync(path, moduleBytes(["go"]));
    await expect(compileFile(path, SHAPE)).resolves.toBeInstanceOf(WebAssembly.Module);
  });
});

describe("the engine", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const choose = (): number => -1;
  const engineModule = (layoutVersion: number, imports: readonly (readonly [string, string])[] = []) =>
    new WebAssembly.Module(moduleBytes(Object.keys(ENGINE_SHAPE.exports), imports, layoutVersion));

  test("of this layout version is taken, with AssemblyScript's abort and the policy", () => {
    const imports = [
      ["env", "abort"],
      ["policy", "choose"],
    ] as const;
    const module = engineModule(LAYOUT_VERSION, imports);
    expect(instantiateEngine(module, memory, choose).layoutVersion()).toBe(LAYOUT_VERSION);
  });

  test("of another layout version is refused", () => {
    const module = engineModule(LAYOUT_VERSION + 1);
    expect(() => instantiateEngine(module, memory, choose)).toThrowError(
      expect.objectContaining({
        code: "module-refused",
        message: `The engine module must be built for layout version ${LAYOUT_VERSION}; found version ${LAYOUT_VERSION + 1}.`,
      }),
    );
  });

  test("that the build made has the shape that the host expects", async () => {
    const module = await compileFile(builtModulePath("engine"), ENGINE_SHAPE);
    expect(instantiateEngine(module, memory, choose).layoutVersion()).toBe(LAYOUT_VERSION);
  });
});
