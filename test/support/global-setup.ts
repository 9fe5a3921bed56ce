// Before any test: dist/ is what the sources say. `npm test` has built it already (and stops when that fails);
// this is for single files run by `npx vitest run FILE`.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const BUILD = fileURLToPath(new URL("../../scripts/build.mjs", import.meta.url));

export function setup(): void {
  const build = spawnSync(process.execPath, [BUILD, "--if-needed"], { encoding: "utf8" });
  if (build.status !== 0) {
    // Tests that need no build can still be run; the others fail on what is missing.
    process.stderr.write(`The build failed, tests see the last one that worked:\n${build.stderr}\n`);
  }
}
