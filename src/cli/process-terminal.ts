// The terminal of this process: standard output and standard error. No unprintable character gets through, wherever a
// text is from, and a reader that leaves ends the command quietly.

import { printable } from "../base/printable.ts";
import type { ErrorTerminal } from "./command.ts";

/** What a shell tells of a program that SIGPIPE (13) ended: 128 + 13. Node itself ignores the signal. */
const EXIT_BROKEN_PIPE = 141;
const EXIT_UNWRITTEN = 1;

/** `livesOn`: the process goes on whatever becomes of its output, as a proxy does. */
export function processTerminal(livesOn: boolean): ErrorTerminal {
  const { stdout, stderr } = process;
  stderr.on("error", () => undefined); // there is nobody left to tell
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (livesOn) return;
    if (error.code === "EPIPE") process.exit(EXIT_BROKEN_PIPE);
    stderr.write(`sapwood: The output cannot be written (${error.code ?? error.message}).\n`);
    process.exit(EXIT_UNWRITTEN);
  });
  return {
    columns: stdout.columns,
    print: (text) => stdout.write(printable(text)),
    async printAll(pieces) {
      for (const piece of pieces) await new Promise((written) => stdout.write(printable(piece), written));
    },
    printError: (text) => stderr.write(printable(text)),
  };
}
