// Engines with a fault each, for those that the build must not contain. All of them come from one compilation, which
// takes seconds of a processor: each fault is behind a condition, and a global of the module says which holds.
import binaryen from "binaryen";
import { compileAssemblyScript } from "./assembly-script.ts";
import { text } from "./source-files.ts";

export interface Fault {
  readonly file: string;
  /** What the first match in the file becomes, as in String.replace(); `isFaulty` is the condition. */
  readonly before: RegExp;
  readonly after: (isFaulty: string) => string;
}

const FLAGS = [
  ...["--config", "asconfig.json"],
  ...["--importMemory", "--noExportMemory", "--sharedMemory", "--initialMemory", "1", "--maximumMemory", "65536"],
];
const ENTRY = "assembly/engine.ts";
const [GLOBAL_NAME, GLOBAL_FILE] = ["fault", "assembly/fault"];

/** The module's file with each of the faults, and for `undefined` with none. */
export async function faultyEngines(
  faults: readonly Fault[],
): Promise<Map<Fault | undefined, Uint8Array<ArrayBuffer>>> {
  const binary = await compileAssemblyScript([ENTRY, ...FLAGS], (name) => readSource(name, faults));
  return new Map([undefined, ...faults].map((fault, index) => [fault, withFault(binary, index - 1)]));
}

function readSource(name: string, faults: readonly Fault[]): string | null {
  if (name === `${GLOBAL_FILE}.ts`) return `export let ${GLOBAL_NAME}: i32 = 0;`;
  const original = readText(name);
  if (original === null) return null;
  let source = original;
  for (const [index, { file, before, after }] of faults.entries()) {
    if (file !== name) continue;
    if (!before.test(source)) throw new Error(`${file} has nothing like ${before}`);
    source = source.replace(before, after(`(${GLOBAL_NAME} == ${index})`));
  }
  const from = `from "${"../".repeat(name.split("/").length - 1)}${GLOBAL_FILE}";`;
  if (source !== original) source = `import { ${GLOBAL_NAME} } ${from}\n${source}`;
  // An export may change, so that the compiler leaves the conditions in.
  return name === ENTRY ? `${source}\nexport { ${GLOBAL_NAME} } ${from}` : source;
}

function readText(name: string): string | null {
  try {
    return text(name);
  } catch {
    return null;
  }
}

function withFault(binary: Uint8Array, index: number): Uint8Array<ArrayBuffer> {
  const module = binaryen.readBinary(binary);
  try {
    const { value: global } = binaryen.getExportInfo(module.getExport(GLOBAL_NAME));
    module.removeExport(GLOBAL_NAME);
    module.removeGlobal(global);
    module.addGlobal(global, binaryen.i32, false, module.i32.const(index));
    return Uint8Array.from(module.emitBinary());
  } finally {
    module.dispose();
  }
}
