// The files of this repository as the contract tests read them: relative paths with "/", and what a file imports.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { sourceFile } from "../../src/lab/build-paths.ts";

const ROOT = sourceFile("");
const NOT_OURS = new Set([".git", "node_modules", "dist"]);

/** Every file below the folder ("" = the repository), what is installed and what is built left out. */
export function filesBelow(folder: string): string[] {
  if (!existsSync(ROOT + folder)) return [];
  return readdirSync(ROOT + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (NOT_OURS.has(entry.name)) return []; // in a work tree of git, .git is a file
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

export function sourcesBelow(folder: string): string[] {
  return filesBelow(folder).filter((path) => /\.tsx?$/.test(path));
}

export function text(path: string): string {
  return readFileSync(ROOT + path, "utf8");
}

export function bytes(path: string): Buffer<ArrayBuffer> {
  return readFileSync(ROOT + path);
}

/** What a source imports: paths in the repository ("src/base/errors.ts"), names of packages ("zod", "node:fs"). */
export function importsOf(path: string): string[] {
  // Comments may quote code, so they are left out; a specifier holds no comment sign but "://".
  const code = text(path).replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, "");
  const statements = /\b(?:import|export)\b[^"'`;()]*?\bfrom\s*"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"/g;
  return [...code.matchAll(statements)].map((match) => {
    const specifier = match[1] ?? match[2] ?? "";
    return specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : specifier;
  });
}
