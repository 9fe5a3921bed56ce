// What all commands that ask a running proxy share: the socket, --json, and how an answer is printed.

import { DEFAULT_SOCKET } from "../control/socket-path.ts";
import type { Command, CommandExample, CommandInput, CommandOption } from "./command.ts";

export const SOCKET_OPTION: CommandOption = {
  flags: "-s, --socket <path>",
  summary: "control socket of the proxy",
  default: DEFAULT_SOCKET,
};

export const JSON_OPTION: CommandOption = { flags: "--json", summary: "print JSON, for programs" };

export interface QueryDescription<Report> {
  readonly name: string;
  readonly summary: string;
  readonly options?: readonly CommandOption[];
  readonly examples: readonly CommandExample[];
  /** Route and query to ask. */
  path(input: CommandInput): string;
  /** The answer as text for people; `columns` is the width to fit into, if any. */
  render(report: Report, input: CommandInput, columns: number | undefined): Promise<string>;
}

/** A command that prints what one GET route answers. */
export function queryCommand<Report>(description: QueryDescription<Report>): Command {
  return {
    name: description.name,
    group: "Look at a running proxy",
    summary: description.summary,
    options: [...(description.options ?? []), SOCKET_OPTION, JSON_OPTION],
    examples: description.examples,
    async run(input, terminal) {
      const { fetchReport } = await import("./client.ts");
      const report = await fetchReport<Report>(input.text("socket"), description.path(input));
      terminal.print(
        input.flag("json")
          ? `${JSON.stringify(report, undefined, 2)}\n`
          : await description.render(report, input, terminal.columns),
      );
    },
  };
}
