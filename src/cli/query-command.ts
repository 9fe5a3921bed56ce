// What all commands that ask a running proxy share: the socket, --json, and how an answer is printed.

import { DEFAULT_SOCKET_TEXT, defaultSocket } from "../model/socket-path.ts";
import type {
  Command,
  CommandArgument,
  CommandExample,
  CommandGroup,
  CommandInput,
  CommandOption,
  Terminal,
} from "./command.ts";

export const SOCKET_OPTION: CommandOption = {
  flags: "-s, --socket <path>",
  summary: "control socket of the proxy",
  default: { value: defaultSocket, text: DEFAULT_SOCKET_TEXT },
};

export const JSON_OPTION: CommandOption = { flags: "--json", summary: "print JSON, for programs" };

const WATCH_OPTION: CommandOption = {
  flags: "-w, --watch [interval]",
  summary: "show it again every second, or every interval (500ms, 5s), until Ctrl-C; with --json one line each time",
};

/** What the answer before said, when it is asked for again and again. */
interface Earlier<Report> {
  readonly report: Report;
  readonly agoMs: number;
}

interface QueryDescription<Report> {
  readonly name: string;
  readonly summary: string;
  readonly arguments?: readonly CommandArgument[];
  readonly options?: readonly CommandOption[];
  readonly examples: readonly CommandExample[];
  /** Route and query to ask. */
  path(input: CommandInput): string;
  /** The answer as text for people; `columns` is the width to fit into, if any. */
  render(report: Report, input: CommandInput, columns: number | undefined, earlier?: Earlier<Report>): Promise<Text>;
}

/** A command that prints what one GET route answers, once or with --watch again and again. */
export function queryCommand<Report>(description: QueryDescription<Report>): Command {
  const once = askingCommand(description, "Look at a running proxy", async (socket, path) => {
    const { fetchReport } = await import("./client.ts");
    return fetchReport<Report>(socket, path);
  });
  return {
    ...once,
    options: [...once.options, WATCH_OPTION],
    async run(input, terminal) {
      const [{ fetchReport }, { watch, watchInterval }] = await Promise.all([
        import("./client.ts"),
        import("./watch.ts"),
      ]);
      const intervalMs = watchInterval(input);
      if (intervalMs === undefined) return once.run(input, terminal);
      const ask = () => fetchReport<Report>(input.text("socket"), description.path(input));
      if (input.flag("json")) {
        await watch(
          intervalMs,
          async () => [JSON.stringify(await ask()), "\n"],
          (line) => terminal.printAll(line),
        );
      }
      let last: { readonly report: Report; readonly atMs: number } | undefined;
      const page = async (): Promise<Iterable<string>> => {
        const before = last;
        const atMs = performance.now();
        last = undefined; // a proxy that is restarted counts anew
        const report = await ask();
        last = { report, atMs };
        const earlier = before && { report: before.report, agoMs: atMs - before.atMs };
        return asPieces(await description.render(report, input, terminal.columns, earlier));
      };
      await watch(intervalMs, page, (text) => terminal.printPage(text));
    },
  };
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

type Text = string | Iterable<string>;

/** Prints an answer: with --json as it is, else as `render` has it for people. */
export async function printReport<Report>(
  report: Report,
  input: CommandInput,
  terminal: Terminal,
  render: (report: Report) => Text | Promise<Text>,
): Promise<void> {
  if (input.flag("json")) {
    const { jsonPieces } = await import("./json-text.ts");
    await terminal.printAll(jsonPieces(report));
  } else await terminal.printAll(asPieces(await render(report)));
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
      await printReport(report, input, terminal, () => description.render(report, input, terminal.columns));
    },
  };
}

function asPieces(text: Text): Iterable<string> {
  return typeof text === "string" ? [text] : text;
}
