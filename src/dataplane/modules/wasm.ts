// Compiles Wasm modules, holds them against what the host expects of them, and instantiates the engine.
// Promises: a module that asks for more than it may have, or lacks what it must have, is refused by a sentence.

import { fileURLToPath } from "node:url";
import { LAYOUT_VERSION } from "../../../assembly/shared/layout/version.ts";
import { reasonOf, SapwoodError } from "../../base/errors.ts";
import { readRegularFile, whyUnreadable } from "../../sys/user-file.ts";
import type { EngineExports, EngineImports } from "./engine-contract.ts";
import { ENGINE_RULES, findBreach, type ModuleRules } from "./module-limits.ts";

/** What a kind of module must export and may import, as "name" or "module.name", each with its kind. */
export interface ModuleShape {
  readonly kind: string; // "engine", for sentences
  readonly exports: Readonly<Record<string, WebAssembly.ImportExportKind>>;
  readonly imports: Readonly<Record<string, WebAssembly.ImportExportKind>>;
  /** Of its functions, as far as it exports them: "(i32, i32) -> i32". */
  readonly signatures: Readonly<Record<string, string>>;
  readonly rules: ModuleRules;
}

/** Of a module: a policy has a few thousand, the engine some ten times that. */
export const MODULE_BYTES_MAX = 8 * 2 ** 20;

/** A module may export more and import less. AssemblyScript's abort is harmless: it only ends the call. */
export const ENGINE_SHAPE: ModuleShape = {
  kind: "engine",
  exports: {
    layoutVersion: "function",
    attach: "function",
    egress: "function",
    ingress: "function",
    probe: "function",
    sweep: "function",
    unpark: "function",
    udpRejected: "function",
    pathError: "function",
  },
  imports: { "env.memory": "memory", "env.abort": "function", "policy.choose": "function" },
  signatures: {
    layoutVersion: "() -> i32",
    attach: "(i32, i64) -> ()",
    egress: "(i32, i32, f64) -> i32",
    ingress: "(i32, i32, f64) -> i32",
    probe: "(f64) -> i32",
    sweep: "(f64, i32) -> i32",
    unpark: "(f64) -> i32",
    udpRejected: "(i32, i32) -> i32",
    pathError: "(i32, i32, i32, i32) -> ()",
  },
  rules: ENGINE_RULES,
};

/** Path of a module that the build made: "engine", "policies/round-robin" ... */
export function builtModulePath(name: string): string {
  // Compiled, this file is dist/src/dataplane/modules/wasm.js; as source it is src/dataplane/modules/wasm.ts.
  const folder = import.meta.url.endsWith(".ts") ? "../../../dist/wasm/" : "../../../wasm/";
  return fileURLToPath(new URL(`${folder}${name}.wasm`, import.meta.url));
}

/** Reads, compiles and checks a module. Throws module-refused. */
export async function compileFile(path: string, shape: ModuleShape): Promise<WebAssembly.Module> {
  return compileBytes(readModule(path, shape), shape, path);
}

/** Throws module-refused, also when the file is too large, which it then does not read. */
export function readModule(path: string, shape: ModuleShape): Uint8Array {
  try {
    return readRegularFile(path, MODULE_BYTES_MAX);
  } catch (cause) {
    throw new SapwoodError(
      "module-refused",
      `The ${shape.kind} module ${path} cannot be read: ${whyUnreadable(cause)}.`,
      { cause },
    );
  }
}

/** Throws module-refused. */
function checkModuleSize(sizeBytes: number, shape: ModuleShape, name: string): void {
  if (sizeBytes <= MODULE_BYTES_MAX) return;
  throw new SapwoodError(
    "module-refused",
    `The ${shape.kind} module ${name} must have at most ${MODULE_BYTES_MAX} bytes; found ${sizeBytes}.`,
  );
}

/**
 * Holds a module's bytes against what may be of its kind, without compiling or running it: size, limits and signatures.
 * Throws module-refused.
 */
export function checkBytes(bytes: Uint8Array, shape: ModuleShape, name: string): void {
  checkModuleSize(bytes.length, shape, name);
  const breach = findBreach(bytes, shape.rules, shape.signatures);
  if (breach === undefined) return;
  const { expected, found } = breach;
  throw new SapwoodError("module-refused", `The ${shape.kind} module ${name} ${expected}; found ${found}.`);
}

/** Checks and compiles a module. `name` stands for it in sentences. Throws module-refused. */
export async function compileBytes(bytes: Uint8Array, shape: ModuleShape, name: string): Promise<WebAssembly.Module> {
  checkBytes(bytes, shape, name);
  return compileKnown(bytes, shape, name);
}

/** The same of bytes whose limits were checked elsewhere. */
export async function compileKnown(bytes: Uint8Array, shape: ModuleShape, name: string): Promise<WebAssembly.Module> {
  let module: WebAssembly.Module;
  try {
    module = await WebAssembly.compile(bytes);
  } catch (cause) {
    throw new SapwoodError(
      "module-refused",
      `The ${shape.kind} module ${name} is no valid WebAssembly: ${reasonOf(cause)}.`,
      { cause },
    );
  }
  checkModule(module, shape, name);
  return module;
}

/** Throws module-refused when imports or exports are not those of `shape`. */
export function checkModule(module: WebAssembly.Module, shape: ModuleShape, name: string): void {
  const refuse = (expected: string, found: string): never => {
    throw new SapwoodError("module-refused", `The ${shape.kind} module ${name} ${expected}; found ${found}.`);
  };

  const found = new Map(WebAssembly.Module.exports(module).map((entry) => [entry.name, entry.kind]));
  for (const [wanted, kind] of Object.entries(shape.exports)) {
    const foundKind = found.get(wanted);
    if (foundKind !== kind) refuse(`must export the ${kind} "${wanted}"`, foundKind ? `a ${foundKind}` : listOf(found));
  }

  for (const { module: from, name: item, kind } of WebAssembly.Module.imports(module)) {
    const full = `${from}.${item}`;
    if (shape.imports[full] === kind) continue;
    const allowed = Object.keys(shape.imports);
    refuse(`may import only ${allowed.length > 0 ? allowed.join(", ") : "nothing"}`, `the ${kind} "${full}"`);
  }
}

/** An engine on `memory`; attach() is still to be called. Throws module-refused. */
export function instantiateEngine(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  choose: EngineImports["policy"]["choose"],
): EngineExports {
  checkModule(module, ENGINE_SHAPE, "given");
  let exports: Record<string, unknown>;
  try {
    exports = new WebAssembly.Instance(module, { env: { memory, abort: aborted }, policy: { choose } }).exports;
  } catch (cause) {
    throw new SapwoodError("module-refused", `The engine module cannot be linked: ${reasonOf(cause)}.`, { cause });
  }
  if (!isEngine(exports)) throw new SapwoodError("module-refused", "The engine module's exports are not functions.");
  const version = exports.layoutVersion();
  if (version !== LAYOUT_VERSION) {
    throw new SapwoodError(
      "module-refused",
      `The engine module must be built for layout version ${LAYOUT_VERSION}; found version ${version}.`,
    );
  }
  return exports;
}

function isEngine(exports: Record<string, unknown>): exports is Record<string, unknown> & EngineExports {
  return Object.keys(ENGINE_SHAPE.exports).every((name) => typeof exports[name] === "function");
}

/** What AssemblyScript calls when an assertion fails; the release build has none. */
function aborted(message: number, file: number, line: number, column: number): never {
  throw new SapwoodError("module-refused", `A module aborted at ${file}:${line}:${column} (message ${message}).`);
}

function listOf(found: ReadonlyMap<string, string>): string {
  return found.size === 0 ? "no exports" : [...found.keys()].join(", ");
}
