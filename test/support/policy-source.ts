// Compiles policy modules from source text, for those that the build must not contain: strange and hostile ones, and
// the examples of the documentation. The text may import what lies in assembly/policy.

import { existsSync, readFileSync } from "node:fs";
import {
  POLICY_ABI_VERSION,
  RECORD_DRAINING,
  RECORD_FLAGS,
  RECORD_HEALTHY,
  RECORD_SIZE,
} from "../../assembly/shared/policies.ts";
import { compileAssemblyScript } from "./assembly-script.ts";

/** Where the records are, and a word for each service: index of the first candidate that takes new flows, plus one. */
const [RECORDS_AT, FIRST_AT] = [1024, 64];
/** For the body of an `update(service, count)` and a `choose(service, ...)`. */
const NOTE_FIRST = `
  const at = ${FIRST_AT} + ((service & 127) << 2);
  store<i32>(at, 0);
  for (let i = count - 1; i >= 0; i--) {
    if ((load<u32>(${RECORDS_AT} + i * ${RECORD_SIZE} + ${RECORD_FLAGS}) & ${RECORD_DRAINING | RECORD_HEALTHY}) == ${RECORD_HEALTHY}) store<i32>(at, i + 1);
  }
  return 0;`;
const TAKE_FIRST = `return load<i32>(${FIRST_AT} + ((service & 127) << 2)) - 1;`;

const WELL_BEHAVED = {
  abiVersion: `export function abiVersion(): i32 { return ${POLICY_ABI_VERSION}; }`,
  reserve: `export function reserve(service: i32, count: i32): i32 { return ${RECORDS_AT}; }`,
  update: `export function update(service: i32, count: i32): i32 { ${NOTE_FIRST} }`,
  choose: `export function choose(service: i32, flowHash: i32, clientHash: i32): i32 { ${TAKE_FIRST} }`,
};

const ROOT = new URL("../../", import.meta.url);
const ENTRY = "assembly/policy/from-text.ts";

/**
 * A module of plain functions that always chooses the first candidate that may be, but for the functions given here.
 */
export function policySource(functions: Partial<Record<keyof typeof WELL_BEHAVED, string>> = {}, more = ""): string {
  return [...Object.values({ ...WELL_BEHAVED, ...functions }), more].join("\n");
}

/** Options of asc by name. */
type Options = Readonly<Record<string, string | number | boolean>>;

/** The options given replace the usual ones; asconfig.json plays no part, so that assertions stay. */
export async function compileSource(source: string, options: Options = {}): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await binaryOf(source, options));
}

const compiled = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();

/** The module's file. Compiling takes a second of a processor, so the same source is compiled once in a test file. */
export async function binaryOf(source: string, options: Options = {}): Promise<Uint8Array<ArrayBuffer>> {
  const key = JSON.stringify([source, options]);
  const binary = compiled.get(key) ?? compile(source, options);
  compiled.set(key, binary);
  return Uint8Array.from(await binary);
}

function compile(source: string, options: Options): Promise<Uint8Array<ArrayBuffer>> {
  const all: Options = { runtime: "stub", optimizeLevel: 1, initialMemory: 1, maximumMemory: 4, ...options };
  const flags = Object.entries(all).flatMap(([name, value]) => [`--${name}`, ...(value === true ? [] : [`${value}`])]);
  return compileAssemblyScript([ENTRY, ...flags], (name) => (name === ENTRY ? source : readSource(name)));
}

function readSource(name: string): string | null {
  const file = new URL(name, ROOT);
  return name.startsWith("assembly/") && existsSync(file) ? readFileSync(file, "utf8") : null;
}
