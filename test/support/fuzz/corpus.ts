// Cases that are kept (test/corpus): what makes a reader run each of its parts, and what was a fault once. A file each,
// named by its content, so that two runs keep the same case once.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const NAME_DIGITS = 12;

export class Corpus {
  /** `folder` is test/corpus. */
  constructor(private readonly folder: string) {}

  /** The cases of a target, in the order of their names. */
  cases(target: string): { readonly name: string; readonly input: Uint8Array }[] {
    const folder = join(this.folder, target);
    if (!existsSync(folder)) return [];
    return readdirSync(folder)
      .sort()
      .map((name) => ({ name, input: readFileSync(join(folder, name)) }));
  }

  /** Returns the path of the case. */
  keep(target: string, input: Uint8Array): string {
    const name = createHash("sha256").update(input).digest("hex").slice(0, NAME_DIGITS);
    const path = join(this.folder, target, name);
    mkdirSync(join(this.folder, target), { recursive: true });
    writeFileSync(path, input);
    return path;
  }
}
