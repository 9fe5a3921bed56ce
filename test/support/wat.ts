// WebAssembly text to bytes, for modules that no compiler of ours makes.

import binaryen from "binaryen";
import { POLICY_ABI_VERSION } from "../../assembly/shared/policies.ts";

/** Beyond the first version of WebAssembly: what the engine's own memory needs. */
const FEATURES = binaryen.Features.MutableGlobals | binaryen.Features.Atomics | binaryen.Features.BulkMemory;

/** Each of them, since binaryen's own "all" leaves out what others need. */
const ALL_FEATURES = Object.values(binaryen.Features).reduce<number>((all, one) => all | Number(one), 0);

export function assemble(text: string): Uint8Array<ArrayBuffer> {
  return assembleWith(text, FEATURES);
}

/** With all that binaryen knows, for modules that must be refused. */
export function assembleAny(text: string): Uint8Array<ArrayBuffer> {
  return assembleWith(text, ALL_FEATURES);
}

function assembleWith(text: string, features: number): Uint8Array<ArrayBuffer> {
  const module = binaryen.parseText(text);
  try {
    module.setFeatures(features);
    if (module.validate() === 0) throw new Error("the text is no valid module");
    return Uint8Array.from(module.emitBinary());
  } finally {
    module.dispose();
  }
}

/** A policy without imports that always chooses candidate 0; `functions` replace its own, by name. */
export function policyText(functions: Partial<Record<keyof typeof PLAIN, string>> = {}, more = ""): string {
  return `(module ${Object.values({ ...PLAIN, ...functions }).join("\n")} ${more})`;
}

const PLAIN = {
  memory: '(memory (export "memory") 1 4)',
  abiVersion: `(func (export "abiVersion") (result i32) (i32.const ${POLICY_ABI_VERSION}))`,
  reserve: '(func (export "reserve") (param i32 i32) (result i32) (i32.const 1024))',
  update: '(func (export "update") (param i32 i32) (result i32) (i32.const 0))',
  choose: '(func (export "choose") (param i32 i32 i32) (result i32) (i32.const 0))',
};
