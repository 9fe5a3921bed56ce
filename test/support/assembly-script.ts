// Compiles AssemblyScript in this process, from files that need not exist.

import asc from "assemblyscript/asc";

/** The module's file; `readFile` answers null for a name that it does not know, of which asc tries several. */
export async function compileAssemblyScript(
  args: readonly string[],
  readFile: (name: string) => string | null,
): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main([...args, "--outFile", "module.wasm"], {
    readFile,
    writeFile: (_name, contents) => {
      if (typeof contents !== "string") binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === undefined) throw new Error(stderr.toString());
  return Uint8Array.from(binary);
}
