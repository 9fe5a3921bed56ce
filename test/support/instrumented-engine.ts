// The engine with a host call in front of each access to memory. Nothing that the engine does changes.
import { readFile } from "node:fs/promises";
import binaryen from "binaryen";
import type { EngineExports, EngineImports } from "../../src/dataplane/modules/engine-contract.ts";
import { builtModulePath } from "../../src/dataplane/modules/wasm.ts";

/** Called with the address and the width of each load and store, before it happens; ends the engine's call by throwing. */
type OnAccess = (address: number, bytes: number, isStore: boolean) => void;

let instrumented: Promise<WebAssembly.Module> | undefined;

/** The module that the build made, instrumented. */
export function loadInstrumentedEngine(): Promise<WebAssembly.Module> {
  instrumented ??= readFile(builtModulePath("engine")).then((bytes) => WebAssembly.compile(instrument(bytes)));
  return instrumented;
}

export function instantiateInstrumented(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  choose: EngineImports["policy"]["choose"],
  onAccess: OnAccess,
): EngineExports {
  const accessOf =
    (isStore: boolean) =>
    (_id: number, bytes: number, offset: number, address: number): number => {
      onAccess((address >>> 0) + offset, bytes, isStore);
      return address;
    };
  const same = <T>(_id: number, value: T): T => value;
  const env: Record<string, unknown> = { memory };
  for (const { name } of WebAssembly.Module.imports(module)) {
    if (name.endsWith("_ptr")) env[name] = accessOf(name === "store_ptr");
    else if (name !== "memory" && name !== "choose") env[name] = same;
  }
  const { exports } = new WebAssembly.Instance(module, { env, policy: { choose } } as WebAssembly.Imports);
  return exports as unknown as EngineExports;
}

function instrument(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const module = binaryen.readBinary(bytes);
  module.setFeatures(binaryen.Features.All);
  module.runPasses(["instrument-memory"]);
  const instrumented = module.emitBinary();
  module.dispose();
  return new Uint8Array(instrumented);
}
