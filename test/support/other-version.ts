// Other versions of the program, beside the one that is built: copies of it with something changed.
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sourceFile } from "../../src/lab/build-paths.ts";

/** In a version with edits the program starts from the files that tsc made, as that of release 0.2.0 does. */
const OLD_LAYOUT = { file: "src/main.js", before: "../program/start.js", after: "./start.js" };

interface Change {
  readonly version: string;
  /** In a file of `dist` that tsc made, the text that is there once and what takes its place. */
  readonly edits?: readonly { readonly file: string; readonly before: string; readonly after: string }[];
  /** Files of `dist` with another content. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

export class OtherVersions {
  readonly #root = mkdtempSync(join(tmpdir(), "sapwood-versions-"));
  #count = 0;

  /** The entry of a version of the program. */
  make({ version, edits = [], files = {} }: Change): string {
    const folder = join(this.#root, String(++this.#count));
    const dist = join(folder, "dist");
    cpSync(sourceFile("dist"), dist, { recursive: true });
    symlinkSync(sourceFile("node_modules"), join(folder, "node_modules"));
    const manifest = JSON.parse(readFileSync(sourceFile("package.json"), "utf8"));
    writeFileSync(join(folder, "package.json"), JSON.stringify({ ...manifest, version }));
    for (const { file, before, after } of edits.length > 0 ? [OLD_LAYOUT, ...edits] : []) {
      const text = readFileSync(join(dist, file), "utf8");
      if (text.split(before).length !== 2) throw new Error(`${file} must have "${before}" once`);
      writeFileSync(
        join(dist, file),
        text.replace(before, () => after),
      );
    }
    for (const [file, content] of Object.entries(files)) writeFileSync(join(dist, file), content);
    return join(dist, "src/main.js");
  }

  remove(): void {
    rmSync(this.#root, { recursive: true });
  }
}
