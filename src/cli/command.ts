// The shape of a command, and how commander reads its arguments. A command file holds this description only and
// imports what it does inside run(), so that `sapwood --help` and `sapwood run` load no code of other commands.

import { InvalidArgumentError, Command as Parser } from "commander";
import { SapwoodError } from "../base/errors.ts";

/** Headings of `sapwood help`, in this order. */
export const COMMAND_GROUPS = [
  "Run a proxy",
  "Look at a running proxy",
  "Change a running proxy",
  "Encrypt the underlay",
  "Modules",
  "Write a policy",
  "Try it",
] as const;
export type CommandGroup = (typeof COMMAND_GROUPS)[number];

/** What `sapwood help` says for all commands of two words that begin with the same one. */
export interface CommandFamily {
  readonly name: string;
  readonly group: CommandGroup;
  readonly summary: string;
}

/** A positional argument; it must be given unless it is optional. */
export interface CommandArgument {
  readonly name: string;
  readonly summary: string;
  readonly isOptional?: true;
}

export interface CommandOption {
  readonly flags: string; // as commander reads them: "--socket <path>", "--json"
  readonly summary: string;
  /** `value` is asked for when a command line is read; `text` is what the help says of it. */
  readonly default?: { readonly value: () => string; readonly text: string };
  readonly choices?: readonly string[];
  readonly isCount?: true; // the value is a whole number of 1 or more
  readonly isList?: true; // it may be given several times
}

/** Of every command, and of the program. */
export const HELP_OPTION: CommandOption = { flags: "-h, --help", summary: "show this help" };

export interface CommandExample {
  readonly line: string; // without the leading "sapwood "
  readonly does: string;
}

export interface Command {
  readonly name: string; // "check", or "policy new" in the family "policy"
  readonly group: CommandGroup;
  readonly summary: string;
  readonly arguments?: readonly CommandArgument[];
  readonly options: readonly CommandOption[];
  readonly examples: readonly CommandExample[];
  /** Throws a SapwoodError when the command could not do what it is for. */
  run(input: CommandInput, terminal: Terminal): Promise<void>;
}

/** Where a command prints; the tests pass their own. */
export interface Terminal {
  print(text: string): void;
  /** Prints a long text piece by piece; each is made when the one before is out. */
  printAll(pieces: Iterable<string>): Promise<void>;
  /** Prints a text in the place of the page before, as many lines as fit; where no person reads along, after it. */
  printPage(pieces: Iterable<string>): Promise<void>;
  /** Undefined when no person reads along: then no line is broken to fit. */
  readonly columns: number | undefined;
  /** Takes the whole terminal; absent when no person reads along. */
  readonly openScreen?: (() => Screen) | undefined;
}

/** "left": the user wants to end. */
export type ScreenEvent = "time" | "resized" | "left";

/** A whole terminal. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** In the place of what was there, as far as it fits. */
  show(lines: readonly string[]): void;
  /** What happens first: the time passes, or the user does something. */
  next(afterMs: number): Promise<ScreenEvent>;
  /** The terminal is as it was before. */
  close(): void;
}

/** A terminal that also takes messages for people beside the output. */
export interface ErrorTerminal extends Terminal {
  printError(text: string): void;
}

/** What the user gave. Options are named as commander names them: "--log-level" is "logLevel". */
export class CommandInput {
  readonly #arguments: readonly string[];
  readonly #options: Readonly<Record<string, unknown>>;

  constructor(positional: readonly string[], options: Readonly<Record<string, unknown>>) {
    this.#arguments = positional;
    this.#options = options;
  }

  argument(index: number): string {
    const value = this.optionalArgument(index);
    if (value === undefined) throw new SapwoodError("usage", `Argument ${index + 1} is missing.`);
    return value;
  }

  optionalArgument(index: number): string | undefined {
    return this.#arguments[index];
  }

  /** An option with a default or a required one. */
  text(name: string): string {
    const value = this.optionalText(name);
    if (value === undefined) throw new SapwoodError("usage", `Option "${name}" is missing.`);
    return value;
  }

  optionalText(name: string): string | undefined {
    const value = this.#options[name];
    return typeof value === "string" ? value : undefined;
  }

  count(name: string): number | undefined {
    const value = this.#options[name];
    return typeof value === "number" ? value : undefined;
  }

  /** What an option that may be given several times was given. */
  list(name: string): readonly string[] {
    const value = this.#options[name];
    return Array.isArray(value) ? value : [];
  }

  flag(name: string): boolean {
    return this.#options[name] === true;
  }
}

/** The parser of one command, to be added to the program or to its family's. */
export function commandParser(command: Command, terminal: Terminal): Parser {
  const parser = new Parser(command.name.split(" ").at(-1));
  parser.description(command.summary).helpGroup(`${command.group}:`).allowExcessArguments(false);
  for (const { name, summary, isOptional } of command.arguments ?? []) {
    parser.argument(isOptional ? `[${name}]` : `<${name}>`, summary);
  }
  for (const option of command.options) addOption(parser, option);
  parser.helpOption(HELP_OPTION.flags, HELP_OPTION.summary);
  parser.addHelpText("after", () => examplesText(command.examples));
  parser.action(async () => {
    await command.run(new CommandInput(parser.args, parser.opts()), terminal);
  });
  return parser;
}

function addOption(parser: Parser, description: CommandOption): void {
  const option = parser.createOption(description.flags, description.summary);
  if (description.default !== undefined) option.default(description.default.value(), description.default.text);
  if (description.choices !== undefined) option.choices(description.choices);
  if (description.isCount) option.argParser(parseCount);
  if (description.isList) option.argParser((text: string, before: readonly string[] = []) => [...before, text]);
  parser.addOption(option);
}

function parseCount(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < 1 || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError("Expected a whole number of 1 or more.");
  }
  return value;
}

function examplesText(examples: readonly CommandExample[]): string {
  const width = Math.max(...examples.map((example) => example.line.length));
  const lines = examples.map(({ line, does }) => `  $ sapwood ${line.padEnd(width)}   # ${does}`);
  return `\nExamples:\n${lines.join("\n")}`;
}
