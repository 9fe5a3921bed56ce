// Reads a file that the user named.

import { readFileSync } from "node:fs";
import { SapwoodError } from "../base/errors.ts";

/** The text of `path`, of standard input for "-". */
export function readTextFile(path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path === "-" ? process.stdin.fd : path));
  } catch (error) {
    const found = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
    throw new SapwoodError("config-unreadable", `${path} cannot be read (${found}).`, { cause: error });
  }
}
