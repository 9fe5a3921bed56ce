// The WebAssembly modules that come with the package: the engine and the policies.

import { readdir } from "node:fs/promises";
import { basename, dirname, extname } from "node:path";
import { checkPolicy, POLICY_SHAPE } from "../dataplane/policy-module.ts";
import { builtModulePath, compileFile, ENGINE_SHAPE } from "../dataplane/wasm.ts";
import type { PolicyModule } from "../dataplane/worker-contract.ts";
import { SapwoodError } from "../errors.ts";

export interface BuiltModules {
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[]; // by slot
}

/** Compiles all of them. Throws module-refused. */
export async function loadBuiltModules(): Promise<BuiltModules> {
  const engine = compileFile(builtModulePath("engine"), ENGINE_SHAPE);
  const [compiled, ...policies] = await Promise.all([engine, ...(await policyFiles()).map(loadPolicy)]);
  return { engine: compiled, policies };
}

/** The slot of a policy by its name; throws tables-invalid when no module has that name. */
export function policySlots(policies: readonly PolicyModule[]): (name: string) => number {
  const slots = new Map(policies.map(({ name, slot }) => [name, slot]));
  return (name) => {
    const slot = slots.get(name);
    if (slot !== undefined) return slot;
    const names = [...slots.keys()].join(", ");
    throw new SapwoodError("tables-invalid", `A policy must be one of ${names}; found "${name}".`);
  };
}

async function loadPolicy(file: string, slot: number): Promise<PolicyModule> {
  const module = await compileFile(file, POLICY_SHAPE);
  const name = basename(file, extname(file));
  checkPolicy(module, name);
  return { slot, name, module };
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
