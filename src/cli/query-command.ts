// What all commands that ask a running proxy share: the socket, --json, and how an answer is printed.

import { DEFAULT_SOCKET } from "../model/socket-path.ts";
import type { Command, CommandArgument, CommandExample, CommandGroup, CommandInput, CommandOption } from "./command.ts";

export const SOCKET_OPTION: CommandOption = {
  flags: "-s, --socket <path>",
  summary: "control socket of the proxy",
  default: DEFAULT_SOCKET,
};

export const JSON_OPTION: CommandOption = { flags: "--json", summary: "print JSON, for programs" };

export interface QueryDescription<Report> {
  readonly name: string;
  readonly summary: string;
  readonly arguments?: readonly CommandArgument[];
  readonly options?: readonly CommandOption[];
  readonly examples: readonly CommandExample[];
  /** Route and query to ask. */
  path(input: CommandInput): string;
  /** The answer as text for people; `columns` is the width to fit into, if any. */
  render(report: Report, input: CommandInput, columns: number | undefined): Promise<string>;
}

/** A command that prints what one GET route answers. */
export function queryCommand<Report>(description: QueryDescription<Report>): Command {
  return askingCommand(description, "Look at a running proxy", async (socket, path) => {
    const { fetchReport } = await import("./client.ts");
    return fetchReport<Report>(socket, path);
  });
}

/** A command that prints what one POST route without a body answers. */
export function orderCommand<Report>(description: QueryDescription<Report>): Command {
  return askingCommand(description, "Change a running proxy", async (socket, path) => {
    const { postText } = await import("./client.ts");
    return postText<Report>(socket, path, "");
  });
}

/** A command that prints what one DELETE route answers. */
export function removeCommand<Report>(description: QueryDescription<Report>): Command {
  return askingCommand(description, "Change a running proxy", async (socket, path) => {
    const { deleteEntry } = await import("./client.ts");
    return deleteEntry<Report>(socket, path);
  });
}

function askingCommand<Report>(
  description: QueryDescription<Report>,
  group: CommandGroup,
  ask: (socket: string, path: string) => Promise<Report>,
): Command {
  return {
    name: description.name,
    group,
    summary: description.summary,
    arguments: description.arguments ?? [],
    options: [...(description.options ?? []), SOCKET_OPTION, JSON_OPTION],
    examples: description.examples,
    async run(input, terminal) {
      const report = await ask(input.text("socket"), description.path(input));
      terminal.print(
        input.flag("json")
          ? `${JSON.stringify(report, undefined, 2)}\n`
          : await description.render(report, input, terminal.columns),
      );
    },
  };
}
