// An old Node.js must be able to read what tells it that it is too old. There is none at hand, so the two files are run
// by this one as what an old one takes them for: a script, with another version to find.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { text } from "../support/source-files.ts";

const { engines } = JSON.parse(text("package.json")) as { engines: { node: string } };
const LEAST = engines.node.replace(">=", "");
const FILES = ["dist/src/main.js", "scripts/require-node.cjs"];

interface Outcome {
  readonly said: string;
  readonly exitCode: number | undefined;
  readonly loaded: readonly string[];
}

function run(file: string, version: string): Outcome {
  const loaded: string[] = [];
  let said = "";
  const process = {
    versions: { node: version },
    execPath: "/usr/bin/node",
    exitCode: undefined as number | undefined,
    stderr: {
      write(told: string) {
        said += told;
      },
    },
  };
  function FunctionOfText() {
    return (path: string) => loaded.push(path);
  }
  const require = createRequire(new URL(`../../${file}`, import.meta.url));
  const source = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8").replace(/^#!.*/, "");
  runInNewContext(source, { process, Function: FunctionOfText, require });
  return { said, exitCode: process.exitCode, loaded };
}

describe.each(FILES)("%s", (file) => {
  test.each(["0.12.18", "8.17.0", "18.20.8", "20.18.3"])("tells Node.js %s that it is too old", (version) => {
    expect(run(file, version)).toEqual({
      said: `sapwood: Node.js ${LEAST} or newer is needed; found ${version}, /usr/bin/node.\n`,
      exitCode: 1,
      loaded: [],
    });
  });

  test.each([`${LEAST}.0`, "20.20.1", "22.0.0", "100.0.0"])("lets Node.js %s go on", (version) => {
    const { said, exitCode, loaded } = run(file, version);
    expect({ said, exitCode }).toEqual({ said: "", exitCode: undefined });
    expect(loaded).toEqual(file.endsWith("main.js") ? ["../program/start.js"] : []);
  });

  test("has no syntax that Node.js 6 does not know", () => {
    const code = text(file).replace(/^\s*\/\/.*$/gm, "");
    expect(code).not.toMatch(/\bimport\s+[\w{*"]|\bexport\b|\bawait\b|\basync\b|\?\?|\?\.|\.\.\.|\*\*|#\w+\s*[(=;]/);
  });
});
