// The WebAssembly modules that come with the package: the engine and the policies.

import { readdir } from "node:fs/promises";
import { basename, dirname, extname } from "node:path";
import { SapwoodError } from "../../base/errors.ts";
import { checkPolicy, POLICY_SHAPE } from "../../dataplane/modules/policy-module.ts";
import {
  builtModulePath,
  compileKnown,
  ENGINE_SHAPE,
  type ModuleShape,
  readModule,
} from "../../dataplane/modules/wasm.ts";
import { BUILT_IN, type BuiltPolicy, type LoadedModule, sha256Of } from "../state/loaded-module.ts";

export interface BuiltModules {
  readonly engine: LoadedModule;
  readonly policies: readonly BuiltPolicy[];
}

/** Compiles all of them. Throws module-refused. */
export async function loadBuiltModules(loadedAt: Date): Promise<BuiltModules> {
  const files = await policyFiles();
  const [engine, ...policies] = await Promise.all([
    loadFile(builtModulePath("engine"), ENGINE_SHAPE, loadedAt),
    ...files.map((file) => loadFile(file, POLICY_SHAPE, loadedAt)),
  ]);
  return {
    engine,
    policies: policies.map((loaded, i) => {
      const name = basename(files[i] ?? "", ".wasm");
      checkPolicy(loaded.module, name);
      return { name, loaded };
    }),
  };
}

async function loadFile(path: string, shape: ModuleShape, loadedAt: Date): Promise<LoadedModule> {
  const bytes = readModule(path, shape);
  // To hold them against the limits would take longer than to compile them; the build's tests do (test/contracts).
  const module = await compileKnown(bytes, shape, path);
  return { module, bytes, sha256: sha256Of(bytes), source: BUILT_IN, loadedAt, isRemembered: false };
}

async function policyFiles(): Promise<string[]> {
  const folder = dirname(builtModulePath("policies/any"));
  try {
    const names = (await readdir(folder)).filter((name) => extname(name) === ".wasm").sort();
    return names.map((name) => builtModulePath(`policies/${basename(name, ".wasm")}`));
  } catch (cause) {
    throw new SapwoodError(
      "module-refused",
      `The folder of policy modules ${folder} cannot be read: ${String(cause)}.`,
      {
        cause,
      },
    );
  }
}
