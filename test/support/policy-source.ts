// Compiles policy modules from source text, for those that the build must not contain: strange and hostile ones.

import asc from "assemblyscript/asc";

const WELL_BEHAVED = {
  abiVersion: "export function abiVersion(): i32 { return 1; }",
  reserve: "export function reserve(service: i32, count: i32): i32 { return 1024; }",
  update: "export function update(service: i32, count: i32): i32 { return 0; }",
  choose: "export function choose(service: i32, flowHash: i32, clientHash: i32): i32 { return 0; }",
};

/** A module of plain functions that always chooses candidate 0, but for the functions given here. */
export function policySource(functions: Partial<Record<keyof typeof WELL_BEHAVED, string>> = {}, more = ""): string {
  return [...Object.values({ ...WELL_BEHAVED, ...functions }), more].join("\n");
}

export async function compileSource(
  source: string,
  options: Readonly<Record<string, string | number | boolean>> = {},
): Promise<WebAssembly.Module> {
  const { error, binary, stderr } = await asc.compileString(source, {
    runtime: "stub",
    optimizeLevel: 1,
    initialMemory: 1,
    maximumMemory: 4,
    ...options,
  });
  if (error !== null || binary === null) throw new Error(stderr.toString());
  return WebAssembly.compile(Uint8Array.from(binary));
}
