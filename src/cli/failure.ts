// How a command says that it failed, on standard error: a sentence for people, or with --json one object for programs,
// of the shape that the control socket answers with.

import { CommanderError } from "commander";
import { SapwoodError } from "../base/errors.ts";
import type { ErrorReport } from "../model/reports.ts";
import type { ErrorTerminal } from "./command.ts";

export interface FailurePrinter {
  /** What the parser of the command line says of it. */
  printUsage(text: string): void;
  /** Prints what ended the command and returns the exit status. */
  print(error: unknown): number;
}

const EXIT_USAGE = new SapwoodError("usage", "").exitCode;
const EXIT_INTERNAL = new SapwoodError("internal", "").exitCode;

export function failurePrinter(args: readonly string[], terminal: ErrorTerminal): FailurePrinter {
  return asksForJson(args) ? new JsonFailures(terminal) : new TextFailures(terminal);
}

/** Also when the rest of the line cannot be read. What follows "--" is no option. */
function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).includes("--json");
}

class TextFailures implements FailurePrinter {
  readonly #terminal: ErrorTerminal;

  constructor(terminal: ErrorTerminal) {
    this.#terminal = terminal;
  }

  printUsage(text: string): void {
    this.#terminal.printError(text);
  }

  print(error: unknown): number {
    if (error instanceof CommanderError) return EXIT_USAGE; // told by printUsage()
    if (error instanceof SapwoodError) {
      this.#terminal.printError(`sapwood: ${error.message}\n`);
      return error.exitCode;
    }
    const told = error instanceof Error ? error.stack : String(error);
    this.#terminal.printError(`sapwood: unexpected error: ${told}\n`);
    return EXIT_INTERNAL;
  }
}

class JsonFailures implements FailurePrinter {
  readonly #terminal: ErrorTerminal;

  constructor(terminal: ErrorTerminal) {
    this.#terminal = terminal;
  }

  /** The error that follows says it, without the hint where to find help. */
  printUsage(): void {}

  print(error: unknown): number {
    const { report, exitCode } = described(error);
    this.#terminal.printError(`${JSON.stringify(report)}\n`);
    return exitCode;
  }
}

function described(error: unknown): { readonly report: ErrorReport; readonly exitCode: number } {
  if (error instanceof SapwoodError) {
    const { code, message, details, exitCode } = error;
    return { report: { error: { code, message, details } }, exitCode };
  }
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, "").replaceAll("\n", " ");
    return { report: { error: { code: "usage", message, details: [] } }, exitCode: EXIT_USAGE };
  }
  const [message = "", ...stack] = (error instanceof Error ? (error.stack ?? error.message) : String(error)).split(
    "\n",
  );
  const details = stack.map((line) => ({ message: line.trim() }));
  return { report: { error: { code: "internal", message, details } }, exitCode: EXIT_INTERNAL };
}
