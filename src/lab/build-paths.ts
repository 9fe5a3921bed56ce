// Where the repository and the compiled program lie, whether this file runs compiled (dist/src/lab) or from its source (a test).
import { fileURLToPath } from "node:url";

const ROOT = new URL(import.meta.url.endsWith(".ts") ? "../../" : "../../../", import.meta.url);

/** Absolute path of a file of the repository. */
export function sourceFile(path: string): string {
  return fileURLToPath(new URL(path, ROOT));
}

/** Absolute path of a file of the build, say `src/main.js`. */
export function builtFile(path: string): string {
  return fileURLToPath(new URL(`dist/${path}`, ROOT));
}
