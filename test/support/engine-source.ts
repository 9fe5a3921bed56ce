// Compiles the engine from its sources with one of them changed, for engines that the build must not contain.

import { compileAssemblyScript } from "./assembly-script.ts";
import { text } from "./source-files.ts";

const FLAGS = [
  ...["--config", "asconfig.json"],
  ...["--importMemory", "--noExportMemory", "--sharedMemory", "--initialMemory", "1", "--maximumMemory", "65536"],
];

/** The module's file; in `file` the first match of `before` is replaced as String.replace() does. */
export async function binaryOfEngine(file: string, before: RegExp, after: string): Promise<Uint8Array<ArrayBuffer>> {
  return compileAssemblyScript(["assembly/engine.ts", ...FLAGS], (name) => {
    const source = readSource(name);
    if (name !== file || source === null) return source;
    const changed = source.replace(before, after);
    if (changed === source) throw new Error(`${file} has nothing like ${before}`);
    return changed;
  });
}

function readSource(name: string): string | null {
  try {
    return text(name);
  } catch {
    return null;
  }
}
