// The terminal of this process: standard output and standard error. No unprintable character gets through, wherever a
// text is from, and a reader that leaves ends the command quietly.

import { printable } from "../base/printable.ts";
import type { ErrorTerminal } from "./command.ts";
import { ProcessScreen } from "./screen.ts";

/** What a shell tells of a program that SIGPIPE (13) ended: 128 + 13. Node itself ignores the signal. */
export const EXIT_BROKEN_PIPE = 141;
const EXIT_UNWRITTEN = 1;
/** ECMA-48: the cursor to the first column of the first line, then everything from there on is erased. */
const CLEAR = "\u001b[H\u001b[J";

/** `livesOn`: the process goes on when its output is gone, as a proxy does. */
export function processTerminal(livesOn: boolean): ErrorTerminal {
  const { stdout, stderr } = process;
  stderr.on("error", () => undefined); // there is nobody left to tell
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (livesOn) return;
    if (error.code === "EPIPE") process.exit(EXIT_BROKEN_PIPE);
    stderr.write(`sapwood: The output cannot be written (${error.code ?? error.message}).\n`);
    process.exit(EXIT_UNWRITTEN);
  });
  const write = (text: string): Promise<unknown> => new Promise((written) => stdout.write(text, written));
  const printAll = async (pieces: Iterable<string>): Promise<void> => {
    for (const piece of pieces) await write(printable(piece));
  };
  return {
    columns: stdout.columns,
    print: (text) => stdout.write(printable(text)),
    printAll,
    async printPage(pieces) {
      if (!stdout.isTTY) return printAll(pieces);
      await write(`${CLEAR}${printable(firstLines(pieces, stdout.rows - 1))}`);
    },
    ...(stdout.isTTY && { openScreen: () => new ProcessScreen() }),
    printError: (text) => stderr.write(printable(text)),
  };
}

/** No more of the pieces is made than is shown. */
function firstLines(pieces: Iterable<string>, count: number): string {
  const lines: string[] = [];
  let rest = "";
  for (const piece of pieces) {
    const found = (rest + piece).split("\n");
    rest = found.pop() ?? "";
    lines.push(...found);
    if (lines.length >= count) break;
  }
  return [...lines, rest].slice(0, count).join("\n");
}
