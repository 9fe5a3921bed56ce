// Completions, tried in the shells themselves.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allCommands } from "../../../src/cli/commands.ts";
import { runProgram } from "../../../src/cli/program.ts";

const COMMANDS = await allCommands();
const TIMEOUT_MS = 60_000;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-completion-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function script(shell: string): Promise<string> {
  let out = "";
  const terminal = {
    columns: undefined,
    print: (text: string) => {
      out += text;
    },
    printAll: async () => undefined,
    printPage: async () => undefined,
    printError: (text: string) => {
      out += text;
    },
  };
  await runProgram(["completion", shell], "1.2.3", terminal);
  return out;
}

function run(shell: string, args: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync(shell, args, {
    encoding: "utf8",
    timeout: TIMEOUT_MS,
    env: { ...process.env, HOME: folder },
  });
  expect(status, stderr).toBe(0);
  return stdout;
}

function has(shell: string): boolean {
  return spawnSync(shell, ["-c", "true"]).status === 0;
}

describe.skipIf(!has("bash"))("bash", () => {
  async function completed(...words: string[]): Promise<string[]> {
    const file = join(folder, "sapwood.bash");
    writeFileSync(file, await script("bash"));
    const line = `source ${file}; COMP_WORDS=(sapwood ${words.map((word) => `"${word}"`).join(" ")}); COMP_CWORD=${words.length}; _sapwood; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return run("bash", ["-c", line]).trim().split("\n");
  }

  test("completes the first words of all commands", async () => {
    const firsts = new Set(COMMANDS.map(({ name }) => name.split(" ")[0]));
    expect(new Set(await completed(""))).toEqual(new Set([...firsts, "help"]));
    expect(await completed("cou")).toEqual(["counters"]);
  });

  test("completes second words and options", async () => {
    expect(await completed("policy", "ro")).toEqual(["rollback"]);
    expect(await completed("events", "--f")).toEqual(["--follow"]);
    expect(await completed("policy", "load", "--d")).toEqual(["--dry-run"]);
  });
});

test.skipIf(!has("zsh"))("zsh takes its script", async () => {
  const file = join(folder, "sapwood.zsh");
  writeFileSync(file, await script("zsh"));
  const line = `autoload -U compinit && compinit -u; source ${file}; print -r -- "\${_comps[sapwood]}"`;
  expect(run("zsh", ["-f", "-c", line])).toContain("_sapwood");
});

test.skipIf(!has("zsh"))("zsh completes by its script in a folder of its own, as a package has it", async () => {
  const functions = join(folder, "vendor-completions");
  mkdirSync(functions);
  writeFileSync(join(functions, "_sapwood"), await script("zsh"));
  // A terminal in which somebody types, as zsh(1) itself is tested.
  const typed = `
    zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell "PS1=; fpath=(${functions} $fpath); autoload -U compinit; compinit -u -D; print ready-$((40 + 2))"
    zpty -r shell seen "*ready-42*"
    zpty -w -n shell $'sapwood cou\t --js\t'
    zpty -r shell seen "*counters*--json*"
    print -r -- "$seen"`;
  expect(run("zsh", ["-f", "-c", typed])).toMatch(/sapwood counters.*--json/s); // with sequences for the terminal
});

test.skipIf(!has("fish"))("fish completes commands and options", async () => {
  const file = join(folder, "sapwood.fish");
  writeFileSync(file, await script("fish"));
  const completed = (line: string): string =>
    run("fish", ["--no-config", "-c", `source ${file}; complete -C '${line}'`]);
  expect(completed("sapwood cou")).toMatch(/^counters\t/m);
  expect(completed("sapwood policy ro")).toMatch(/^rollback\t/m);
  expect(completed("sapwood events --fol")).toMatch(/^--follow/m);
});

test("another shell is refused", async () => {
  expect(await script("csh")).toContain('one of bash, zsh, fish; found "csh"');
});
