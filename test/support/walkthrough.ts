// Reads the commands of a document, and plays them on machines that are namespaces of a sandbox. A block of commands
// begins with "```sh MACHINE", or "```sh MACHINE stays" when it does not end by itself; a "```text" block after it is
// what it prints.

import { dirname } from "node:path";
import { builtFile } from "../../src/lab/build-paths.ts";
import type { Sandbox, SandboxProgram } from "../../src/lab/sandbox.ts";

interface Step {
  readonly machine: string;
  readonly stays: boolean;
  readonly commands: string;
  readonly prints: string | undefined;
}

const BLOCK = /^```(.*)\n([\s\S]*?)^```$/gm;

export function stepsOf(document: string): Step[] {
  const steps: Step[] = [];
  for (const [, info = "", content = ""] of document.matchAll(BLOCK)) {
    const [language, machine, stays] = info.split(" ");
    const last = steps.at(-1);
    if (language === "sh" && machine !== undefined) {
      steps.push({ machine, stays: stays === "stays", commands: content, prints: undefined });
    } else if (language === "text" && last !== undefined) {
      steps[steps.length - 1] = { ...last, prints: content };
    }
  }
  return steps;
}

const FOLDER = "/run/machines";

/** A shell in a network namespace, with an /etc and a /run/sapwood of its own, and `sapwood` in its path. */
export class Machine {
  readonly #shell: SandboxProgram;
  #played = 0;

  private constructor(shell: SandboxProgram) {
    this.#shell = shell;
  }

  static async open(sandbox: Sandbox, name: string): Promise<Machine> {
    sandbox.writeProgram(
      `${FOLDER}/${name}/bin/sapwood`,
      `#!/bin/sh\nexec "${process.execPath}" "${builtFile("src/main.js")}" "$@"\n`,
    );
    const own = `${FOLDER}/${name}`;
    const begin = [
      "set -e",
      `mkdir -p ${own}/etc /run/sapwood`,
      `cp -a /etc/. ${own}/etc`,
      `mount --bind ${own}/etc /etc`,
      "mount -t tmpfs tmpfs /run/sapwood",
      `export PATH="${own}/bin:${dirname(process.execPath)}:$PATH"`,
      "exec bash -e -u -o pipefail -s",
    ].join("\n");
    return new Machine(sandbox.start(["unshare", "--mount", "bash", "-c", begin], name));
  }

  /** Resolves when the commands have succeeded, or, of those that stay, when they have printed what they are to. */
  async play({ commands, stays, prints }: Step): Promise<void> {
    const before = this.#shell.stdout.length;
    const printed = () => this.#shell.stdout.slice(before);
    if (stays) {
      this.#shell.write(`{\n${commands}} &\n`);
      const wanted = prints?.trimEnd() ?? "";
      await this.#shell.until(`"${wanted}" after ${commands}`, () => printed().includes(wanted));
      return;
    }
    const mark = `played ${++this.#played}\n`;
    this.#shell.write(`${commands}echo "${mark.trimEnd()}"\n`);
    await this.#shell.until(`the end of ${commands}`, () => printed().endsWith(mark));
    const found = printed().slice(0, -mark.length);
    if (prints !== undefined && found !== prints) {
      throw new Error(`The document says that this prints\n${prints}found\n${found}after\n${commands}`);
    }
  }
}
