// The whole command line: the commands under one parser, and what a failure prints and exits with.

import { CommanderError, Command as Parser } from "commander";
import { closestName } from "../base/issues.ts";
import {
  COMMAND_GROUPS,
  type Command,
  type CommandFamily,
  type CommandOption,
  commandParser,
  type ErrorTerminal,
  HELP_OPTION,
} from "./command.ts";
import { commandsFor } from "./commands.ts";
import { type FailurePrinter, failurePrinter } from "./failure.ts";

export const FAMILIES: readonly CommandFamily[] = [
  {
    name: "key",
    group: "Encrypt the underlay",
    summary: "show this node's key for the encrypted underlay, and replace it while traffic flows",
  },
  {
    name: "policy",
    group: "Modules",
    summary: "look at balancing policies, load them while traffic flows, write and test your own",
  },
  { name: "engine", group: "Modules", summary: "look at the packet code, replace it while traffic flows" },
];

/** What the program is, in one sentence. */
export const PROGRAM_SUMMARY =
  "The proxy of a semantic overlay network: one virtual address per service and balancing policy.";

export const VERSION_OPTION: CommandOption = { flags: "-V, --version", summary: "show the version" };

/** Runs the command that `args` name (without node and script) and returns the exit status. Never throws. */
export async function runProgram(args: readonly string[], version: string, terminal: ErrorTerminal): Promise<number> {
  const failures = failurePrinter(args, terminal);
  try {
    await program(await commandsFor(args), version, terminal, failures).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return failures.print(error);
  }
}

function program(
  commands: readonly Command[],
  version: string,
  terminal: ErrorTerminal,
  failures: FailurePrinter,
): Parser {
  const parser = new Parser("sapwood");
  parser
    .description(PROGRAM_SUMMARY)
    .usage("<command> [options]")
    .version(version, VERSION_OPTION.flags, VERSION_OPTION.summary)
    .helpOption(HELP_OPTION.flags, HELP_OPTION.summary)
    .helpCommand(false)
    .addHelpText("after", '\n"sapwood help <command>" shows the options of a command, with examples.');
  const families = new Map(FAMILIES.map((family) => [family.name, familyParser(family)]));
  for (const group of COMMAND_GROUPS) {
    for (const family of FAMILIES) {
      const own = families.get(family.name);
      if (family.group === group && own !== undefined) parser.addCommand(own);
    }
    for (const command of commands) {
      const [first = ""] = command.name.split(" ");
      const family = first === command.name ? parser : families.get(first);
      if (command.group === group) family?.addCommand(commandParser(command, terminal));
    }
  }
  for (const each of [parser, ...families.values()]) each.addCommand(helpParser(each));
  for (const each of [parser, ...parser.commands.flatMap((one) => [one, ...one.commands])]) {
    each
      .exitOverride()
      .showSuggestionAfterError()
      .showHelpAfterError(`See "${helpLine(each)}".`)
      .configureOutput({
        writeOut: (text) => terminal.print(text),
        writeErr: (text) => failures.printUsage(text),
        outputError: (text, write) => write(text.replace(/^error: /, "sapwood: ")),
      });
  }
  return parser;
}

function familyParser({ name, group, summary }: CommandFamily): Parser {
  return new Parser(name)
    .description(summary)
    .usage("<command> [options]")
    .helpGroup(`${group}:`)
    .helpOption(HELP_OPTION.flags, HELP_OPTION.summary)
    .helpCommand(false)
    .addHelpText("after", `\n"sapwood ${name} help <command>" shows the options of a command, with examples.`);
}

/** "help check", "help policy load"; also "policy help load". */
function helpParser(above: Parser): Parser {
  return new Parser("help")
    .description("show this help, or that of a command")
    .argument("[command...]", "the words of its name")
    .helpOption(false)
    .action((words: readonly string[]) => {
      let found = above;
      for (const word of words) {
        const next = found.commands.find((command) => command.name() === word);
        if (next === undefined) refuseUnknown(found, word);
        found = next;
      }
      found.outputHelp();
    });
}

function refuseUnknown(parser: Parser, word: string): never {
  const meant = closestName(
    word,
    parser.commands.map((command) => command.name()),
  );
  const hint = meant === undefined ? "" : `\n(Did you mean ${meant}?)`;
  return parser.error(`error: unknown command '${word}'${hint}`, { code: "commander.unknownCommand" });
}

/** The command line that shows the help of a parser: "sapwood help check", "sapwood policy help new". */
function helpLine(parser: Parser): string {
  const name = parser.parent === null ? "" : ` ${parser.name()}`;
  const path: string[] = [];
  for (let above = parser.parent; above !== null; above = above.parent) path.unshift(above.name());
  return `${path.length === 0 ? parser.name() : path.join(" ")} help${name}`;
}
