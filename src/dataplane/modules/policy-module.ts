// A policy module: what it must look like, and an instance of it with its own memory.
// Promises: what is refused is refused before it is used, by a sentence that says what was expected and what was found.

import { POLICY_ABI_VERSION, POLICY_PAGES_MAX, PolicyExport } from "../../../assembly/shared/policies.ts";
import { reasonOf, SapwoodError } from "../../base/errors.ts";
import { WASM_PAGE_BYTES } from "../../base/wasm-page.ts";
import { POLICY_RULES } from "./module-limits.ts";
import { checkModule, type ModuleShape } from "./wasm.ts";

const SIGNATURES: Readonly<Record<keyof typeof PolicyExport, string>> = {
  abiVersion: "() -> i32",
  reserve: "(i32, i32) -> i32",
  update: "(i32, i32) -> i32",
  choose: "(i32, i32, i32) -> i32",
  liveFlows: "() -> i32",
};

/** Pages of a policy's memory, at least one. */
export function memoryPages(bytes: number): number {
  return Math.max(1, Math.floor(bytes / WASM_PAGE_BYTES));
}

/** A module may export more. AssemblyScript's abort is harmless: it only ends the call. */
export const POLICY_SHAPE: ModuleShape = policyShape(POLICY_PAGES_MAX);

/** With another limit of its memory. */
export function policyShape(pagesMax: number): ModuleShape {
  return {
    kind: "policy",
    exports: {
      memory: "memory",
      [PolicyExport[PolicyExport.abiVersion]]: "function",
      [PolicyExport[PolicyExport.reserve]]: "function",
      [PolicyExport[PolicyExport.update]]: "function",
      [PolicyExport[PolicyExport.choose]]: "function",
    },
    imports: { "env.abort": "function" },
    signatures: SIGNATURES,
    rules: { ...POLICY_RULES, pagesMax },
  };
}

/** Exports of a policy module (assembly/shared/policies.ts). They may trap, and answer anything. */
export interface PolicyExports {
  readonly memory: WebAssembly.Memory;
  readonly abiVersion: () => number;
  readonly reserve: (service: number, count: number) => number;
  readonly update: (service: number, count: number) => number;
  readonly choose: (service: number, flowHash: number, clientHash: number) => number;
  readonly liveFlows?: () => number;
}

/**
 * Holds a compiled module against the contract. Throws module-refused. Runs the module's start function and asks its
 * version: one that was not tried before (module-trial.ts) may not return.
 */
export function checkPolicy(module: WebAssembly.Module, name: string): void {
  const exports = instantiatePolicy(module, name);
  const refuse = (expected: string, found: string): never => {
    throw new SapwoodError("module-refused", `The policy module ${name} ${expected}; found ${found}.`);
  };
  let version: unknown;
  try {
    version = exports.abiVersion();
  } catch (cause) {
    refuse("must say its ABI version", `that abiVersion() failed: ${trapText(cause)}`);
  }
  if (version !== POLICY_ABI_VERSION) {
    refuse(`must be built for policy ABI version ${POLICY_ABI_VERSION}`, `version ${String(version)}`);
  }
}

/** A new instance with fresh memory. Throws module-refused. */
export function instantiatePolicy(module: WebAssembly.Module, name: string): PolicyExports {
  checkModule(module, POLICY_SHAPE, name);
  let exports: Record<string, unknown>;
  try {
    exports = new WebAssembly.Instance(module, { env: { abort: aborted } }).exports;
  } catch (cause) {
    throw new SapwoodError("module-refused", `The policy module ${name} cannot be started: ${trapText(cause)}.`, {
      cause,
    });
  }
  if (!isPolicy(exports)) throw new SapwoodError("module-refused", `The policy module ${name} exports no memory.`);
  return exports;
}

/** Makes the checked kinds known to the compiler. */
function isPolicy(exports: Record<string, unknown>): exports is Record<string, unknown> & PolicyExports {
  return exports.memory instanceof WebAssembly.Memory;
}

/** The strings that AssemblyScript passes lie in the policy's memory and are not worth the trust to read them. */
function aborted(_message: number, _file: number, line: number, column: number): never {
  throw new Error(`abort at line ${line}, column ${column}`);
}

/** V8 writes a frame of WebAssembly as "choose (wasm://wasm/my-policy-1a2b3c:wasm-function[7]:0x1d4)". */
const WASM_FRAME = /at (?:(.+) \()?wasm:\/\/.*:wasm-function\[(\d+)\]:(0x[0-9a-f]+)/;
/** Names come from the module: nothing but what may be in a sentence, and not without end. */
const NAME_LENGTH_MAX = 100;

/** What a call threw, and where in the module: the function by its name, if the module has names, and the offset. */
export function trapText(cause: unknown): string {
  const frame = cause instanceof Error ? WASM_FRAME.exec(cause.stack ?? "") : null;
  if (frame === null) return reasonOf(cause);
  const [, name, index, offset] = frame;
  const known = name?.replace(/\p{C}/gu, "").slice(0, NAME_LENGTH_MAX);
  return `${reasonOf(cause)}, in ${known ? `${known} (function ${index})` : `function ${index}`} at byte ${offset}`;
}
