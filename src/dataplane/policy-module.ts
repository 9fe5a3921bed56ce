// A policy module: what it must look like, and an instance of it with its own memory.
// Promises: what is refused is refused before it is used, by a sentence that says what was expected and what was found.

import { POLICY_ABI_VERSION, POLICY_PAGES_MAX, PolicyExport } from "../../assembly/shared/policies.ts";
import { SapwoodError } from "../errors.ts";
import { checkModule, type ModuleShape } from "./wasm.ts";

/** A module may export more. AssemblyScript's abort is harmless: it only ends the call. */
export const POLICY_SHAPE: ModuleShape = {
  kind: "policy",
  exports: {
    memory: "memory",
    [PolicyExport[PolicyExport.abiVersion]]: "function",
    [PolicyExport[PolicyExport.reserve]]: "function",
    [PolicyExport[PolicyExport.update]]: "function",
    [PolicyExport[PolicyExport.choose]]: "function",
  },
  imports: { "env.abort": "function" },
};

/** Exports of a policy module (assembly/shared/policies.ts). They may trap, and answer anything. */
export interface PolicyExports {
  readonly memory: WebAssembly.Memory;
  readonly abiVersion: () => number;
  readonly reserve: (service: number, count: number) => number;
  readonly update: (service: number, count: number) => number;
  readonly choose: (service: number, flowHash: number, clientHash: number) => number;
  readonly liveFlows?: () => number;
}

const PARAMETER_COUNTS: Readonly<Record<keyof typeof PolicyExport, number>> = {
  abiVersion: 0,
  reserve: 2,
  update: 2,
  choose: 3,
  liveFlows: 0,
  opened: 2,
  closed: 2,
};

/**
 * Holds a module against the contract, memory limit included. Throws module-refused. Runs the module's start function
 * and asks its version: one that was not tried before (policy-trial.ts) may not return.
 */
export function checkPolicy(module: WebAssembly.Module, name: string, pagesMax = POLICY_PAGES_MAX): void {
  const exports = instantiatePolicy(module, name);
  const refuse = (expected: string, found: string): never => {
    throw new SapwoodError("module-refused", `The policy module ${name} ${expected}; found ${found}.`);
  };
  let version: unknown;
  try {
    version = exports.abiVersion();
  } catch (cause) {
    refuse("must say its ABI version", `that abiVersion() failed: ${reasonOf(cause)}`);
  }
  if (version !== POLICY_ABI_VERSION) {
    refuse(`must be built for policy ABI version ${POLICY_ABI_VERSION}`, `version ${String(version)}`);
  }
  const { memory } = exports;
  const most = `must have a memory of its own with a maximum of at most ${pagesMax} pages`;
  if (!(memory.buffer instanceof ArrayBuffer)) refuse(most, "a shared memory");
  // JavaScript cannot read the maximum, but growing beyond it fails. The instance is thrown away afterwards.
  const pages = memory.buffer.byteLength / 65_536;
  if (pages > pagesMax || canGrow(memory, pagesMax + 1 - pages)) {
    refuse(most, `one that can have ${Math.max(pages, pagesMax + 1)} pages`);
  }
}

/** A new instance with fresh memory. Throws module-refused. */
export function instantiatePolicy(module: WebAssembly.Module, name: string): PolicyExports {
  checkModule(module, POLICY_SHAPE, name);
  let exports: Record<string, unknown>;
  try {
    exports = new WebAssembly.Instance(module, { env: { abort: aborted } }).exports;
  } catch (cause) {
    throw new SapwoodError("module-refused", `The policy module ${name} cannot be started: ${reasonOf(cause)}.`, {
      cause,
    });
  }
  for (const [exportName, expected] of Object.entries(PARAMETER_COUNTS)) {
    const exported = exports[exportName];
    if (exported === undefined && !(exportName in POLICY_SHAPE.exports)) continue;
    const found = typeof exported === "function" ? `${exported.length}` : "no function";
    if (found === `${expected}`) continue;
    throw new SapwoodError(
      "module-refused",
      `The policy module ${name} must export "${exportName}" with ${expected} parameters; found ${found}.`,
    );
  }
  if (!isPolicy(exports)) throw new SapwoodError("module-refused", `The policy module ${name} exports no memory.`);
  return exports;
}

/** Makes the checked kinds known to the compiler. */
function isPolicy(exports: Record<string, unknown>): exports is Record<string, unknown> & PolicyExports {
  return exports.memory instanceof WebAssembly.Memory;
}

function canGrow(memory: WebAssembly.Memory, pages: number): boolean {
  try {
    memory.grow(pages);
    return true;
  } catch {
    return false;
  }
}

/** The strings that AssemblyScript passes lie in the policy's memory and are not worth the trust to read them. */
function aborted(_message: number, _file: number, line: number, column: number): never {
  throw new Error(`abort at line ${line}, column ${column}`);
}

export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
