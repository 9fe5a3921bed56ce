// Compiles policy modules from source text, for those that the build must not contain: strange and hostile ones, and
// the examples of the documentation. The text may import what lies in assembly/policy.

import { existsSync, readFileSync } from "node:fs";
import { POLICY_ABI_VERSION } from "../../assembly/shared/policies.ts";
import { compileAssemblyScript } from "./assembly-script.ts";

const WELL_BEHAVED = {
  abiVersion: `export function abiVersion(): i32 { return ${POLICY_ABI_VERSION}; }`,
  reserve: "export function reserve(service: i32, count: i32): i32 { return 1024; }",
  update: "export function update(service: i32, count: i32): i32 { return 0; }",
  choose: "export function choose(service: i32, flowHash: i32, clientHash: i32): i32 { return 0; }",
};

const ROOT = new URL("../../", import.meta.url);
const ENTRY = "assembly/policy/from-text.ts";

/** A module of plain functions that always chooses candidate 0, but for the functions given here. */
export function policySource(functions: Partial<Record<keyof typeof WELL_BEHAVED, string>> = {}, more = ""): string {
  return [...Object.values({ ...WELL_BEHAVED, ...functions }), more].join("\n");
}

/** Options of asc by name. */
type Options = Readonly<Record<string, string | number | boolean>>;

/** The options given replace the usual ones; asconfig.json plays no part, so that assertions stay. */
export async function compileSource(source: string, options: Options = {}): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await binaryOf(source, options));
}

/** The module's file. */
export async function binaryOf(source: string, options: Options = {}): Promise<Uint8Array<ArrayBuffer>> {
  const all: Options = { runtime: "stub", optimizeLevel: 1, initialMemory: 1, maximumMemory: 4, ...options };
  const flags = Object.entries(all).flatMap(([name, value]) => [`--${name}`, ...(value === true ? [] : [`${value}`])]);
  return compileAssemblyScript([ENTRY, ...flags], (name) => (name === ENTRY ? source : readSource(name)));
}

function readSource(name: string): string | null {
  const file = new URL(name, ROOT);
  return name.startsWith("assembly/") && existsSync(file) ? readFileSync(file, "utf8") : null;
}
