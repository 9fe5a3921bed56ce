// The manual pages, written from the descriptions of the commands: the build puts them into dist/man/man1. No command
// loads this file.

import { EXIT_MEANINGS } from "../base/errors.ts";
import { COMMAND_GROUPS, type Command, type CommandArgument, type CommandOption, HELP_OPTION } from "./command.ts";
import { allCommands } from "./commands.ts";
import { EXIT_BROKEN_PIPE } from "./process-terminal.ts";
import { FAMILIES, PROGRAM_SUMMARY, VERSION_OPTION } from "./program.ts";
import { bold, entry, escaped, italic, line, prose, section, syntax } from "./roff.ts";

const COMMANDS = await allCommands();
const LEFT = "The reader of its output left before the end.";

/** A page about what `sapwood NAME` is; the empty name is the program itself. */
interface Page {
  readonly name: string;
  readonly summary: string;
  readonly body: readonly string[];
  readonly seeAlso: readonly string[]; // names of other pages
}

/** File name -> text. `version` and `date` (2026-11-27) are those of the release that the footers name. */
export function manPages(version: string, date: string): ReadonlyMap<string, string> {
  const pages = [programPage(), ...FAMILIES.map(familyPage), ...COMMANDS.map(commandPage)];
  return new Map(pages.map((page) => [`${pageName(page.name)}.1`, pageText(page, version, date)]));
}

function pageText({ name, summary, body, seeAlso }: Page, version: string, date: string): string {
  const own = pageName(name);
  const lines = [
    `.TH ${escaped(own.toUpperCase())} 1 "${date}" "sapwood ${escaped(version)}" "sapwood"`,
    ...[".nh", ".ad l"], // names of commands and options stay whole
    ...section("NAME", [`${escaped(own)} \\- ${prose(summary)}`]),
    ...body,
    ...section("SEE ALSO", [seeAlso.map(reference).join(",\n")]),
  ];
  return `${lines.join("\n")}\n`;
}

function programPage(): Page {
  const groups = COMMAND_GROUPS.flatMap((group) => {
    const members = COMMANDS.filter((command) => command.group === group);
    return members.length === 0 ? [] : [`.SS ${escaped(group)}`, ...members.flatMap(listed)];
  });
  return {
    name: "",
    summary: "proxy of a semantic overlay network",
    body: [
      ...section("SYNOPSIS", [`${bold("sapwood")} ${syntax("<command>")} [${italic("options")}]`]),
      ...section("DESCRIPTION", [line(prose(PROGRAM_SUMMARY))]),
      ...section("OPTIONS", [VERSION_OPTION, HELP_OPTION].flatMap(optionEntry)),
      ...section("COMMANDS", groups),
      ...surroundings(
        COMMANDS.flatMap(({ options }) => options),
        [],
      ),
    ],
    seeAlso: FAMILIES.map(({ name }) => name),
  };
}

function familyPage({ name, summary }: (typeof FAMILIES)[number]): Page {
  return {
    name,
    summary,
    body: [
      ...section("SYNOPSIS", [`${bold(`sapwood ${name}`)} ${syntax("<command>")} [${italic("options")}]`]),
      ...section("COMMANDS", COMMANDS.filter((one) => one.name.startsWith(`${name} `)).flatMap(listed)),
    ],
    seeAlso: [""],
  };
}

function commandPage(command: Command): Page {
  const { name, group, summary, options, examples } = command;
  const given = command.arguments ?? [];
  const places = given.map((one) => syntax(one.isOptional ? `[${one.name}]` : `<${one.name}>`));
  return {
    name,
    summary,
    body: [
      ...section("SYNOPSIS", [[bold(`sapwood ${name}`), `[${italic("options")}]`, ...places].join(" ")]),
      ...section("DESCRIPTION", [line(prose(sentence(summary)))]),
      ...section(
        "ARGUMENTS",
        given.flatMap((one) => entry(italic(one.name), prose(one.summary))),
      ),
      ...section("OPTIONS", [...options, HELP_OPTION].flatMap(optionEntry)),
      ...surroundings(options, given),
      ...section(
        "EXAMPLES",
        examples.flatMap((example) => entry(bold(`sapwood ${example.line}`), prose(example.does))),
      ),
    ],
    seeAlso: ["", ...COMMANDS.filter((one) => one.group === group && one !== command).map((one) => one.name)],
  };
}

/** The sections about what surrounds commands with these options and arguments. */
function surroundings(options: readonly CommandOption[], given: readonly CommandArgument[]): readonly string[] {
  const exits = Object.entries({ 0: "The command did what it is for.", ...EXIT_MEANINGS, [EXIT_BROKEN_PIPE]: LEFT });
  const inputs = [...options.map((option) => ({ ...option, name: longFlag(option) })), ...given];
  return [
    ...section(
      "EXIT STATUS",
      exits.flatMap(([status, meaning]) => entry(status, prose(meaning))),
    ),
    ...section("ENVIRONMENT", defaultsIn(inputs, /SAPWOOD_[A-Z_]+/)),
    ...section("FILES", defaultsIn(inputs, /\/[\w.-]+\/[\w./-]*\w/)),
  ];
}

type Input = CommandArgument & Pick<CommandOption, "default">;

/** Entries for what stands for options and arguments that are not given, each once. Some summaries tell the default. */
function defaultsIn(inputs: readonly Input[], pattern: RegExp): readonly string[] {
  const told = / \(default: ([^)]+)\)/;
  const found = new Map<string, string>();
  for (const { name, summary, default: own } of inputs) {
    const [place] = pattern.exec(own?.text ?? told.exec(summary)?.[1] ?? "") ?? [];
    if (place === undefined || found.has(place)) continue;
    found.set(place, `Without \`${name}\`: ${summary.replace(told, "")}.`);
  }
  return [...found].sort().flatMap(([place, said]) => entry(bold(place), prose(said)));
}

function longFlag({ flags }: CommandOption): string {
  return /--[\w-]+/.exec(flags)?.[0] ?? flags;
}

function optionEntry(option: CommandOption): readonly string[] {
  const { flags, summary, choices, default: own } = option;
  const said = [
    sentence(summary),
    ...(choices === undefined ? [] : [`One of ${choices.join(", ")}.`]),
    ...(own === undefined ? [] : [`Default: ${own.text}.`]),
  ];
  return entry(syntax(flags), prose(said.join(" ")));
}

function listed({ name, summary }: Command): readonly string[] {
  return entry(reference(name), prose(summary));
}

function reference(name: string): string {
  return `${bold(pageName(name))}(1)`;
}

function pageName(name: string): string {
  return ["sapwood", ...name.split(" ")].filter((word) => word !== "").join("-");
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
