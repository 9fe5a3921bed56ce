// How a command says that it failed, on standard error: a sentence for people, or with --json one object for programs,
// of the shape that the control socket answers with.

import { CommanderError } from "commander";
import { reasonOf, SapwoodError } from "../base/errors.ts";
import { shortageOf } from "../base/shortage.ts";
import type { ErrorReport } from "../model/reports.ts";
import type { ErrorTerminal } from "./command.ts";

type ErrorOutput = Pick<ErrorTerminal, "printError">;

export interface FailurePrinter {
  /** What the parser of the command line says of it. */
  printUsage(text: string): void;
  /** Prints what ended the command and returns the exit status. */
  print(error: unknown): number;
}

const EXIT_USAGE = new SapwoodError("usage", "").exitCode;
const EXIT_INTERNAL = new SapwoodError("internal", "").exitCode;

export function failurePrinter(args: readonly string[], terminal: ErrorOutput): FailurePrinter {
  return asksForJson(args) ? new JsonFailures(terminal) : new TextFailures(terminal);
}

/** Also when the rest of the line cannot be read. What follows "--" is no option. */
function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).includes("--json");
}

class TextFailures implements FailurePrinter {
  readonly #terminal: ErrorOutput;

  constructor(terminal: ErrorOutput) {
    this.#terminal = terminal;
  }

  printUsage(text: string): void {
    this.#terminal.printError(text);
  }

  print(thrown: unknown): number {
    if (thrown instanceof CommanderError) return EXIT_USAGE; // told by printUsage()
    const error = namedShortage(thrown);
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
  readonly #terminal: ErrorOutput;

  constructor(terminal: ErrorOutput) {
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

/** What the machine ran out of is no error in the program. Anything else is what was thrown. */
function namedShortage(thrown: unknown): unknown {
  if (thrown instanceof SapwoodError) return thrown;
  const shortage = shortageOf(thrown);
  if (shortage === undefined) return thrown;
  const { sentence, advice } = shortage;
  return new SapwoodError("system-call", `${sentence} (${reasonOf(thrown)}). ${advice}`, { cause: thrown });
}

function described(thrown: unknown): { readonly report: ErrorReport; readonly exitCode: number } {
  const error = namedShortage(thrown);
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
