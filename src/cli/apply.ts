// `sapwood apply`: replaces nodes and services of a running proxy, or with --merge some of them.

import { SapwoodError } from "../base/errors.ts";
import type { AppliedReport, DifferenceReport } from "../model/reports.ts";
import type { Command, CommandInput } from "./command.ts";
import { countText } from "./format.ts";
import { JSON_OPTION, printReport, SOCKET_OPTION } from "./query-command.ts";

/** What the proxy calls a text that it was sent. */
const NAME_IN_ERRORS = "tables";

export const applyCommand: Command = {
  name: "apply",
  group: "Change a running proxy",
  summary: "replace or change nodes and services at once, or not at all",
  arguments: [{ name: "file", summary: 'YAML or JSON with "nodes" and "services"; "-" reads standard input' }],
  options: [
    { flags: "--merge", summary: 'keep what the file does not name; it may "remove" nodes and services by name' },
    { flags: "--dry-run", summary: "only show what would be added, removed and changed" },
    { flags: "--allow-empty", summary: "let the file take the last node, service, address or instance away" },
    SOCKET_OPTION,
    JSON_OPTION,
  ],
  examples: [
    { line: "apply services.yaml", does: "one new generation; traffic goes on" },
    { line: "apply --dry-run services.yaml", does: "what it would change; refused as it would be" },
    { line: "apply - < services.yaml", does: "the same from standard input" },
    { line: "apply --merge changes.yaml", does: "only what changes, however much there is" },
  ],
  async run(input, terminal) {
    const { fileNameOf, readTextOnce } = await import("../sys/user-file.ts");
    const file = input.argument(0);
    const text = readTextOnce(file);
    try {
      if (input.flag("dryRun")) {
        const { differencePieces } = await import("./difference-text.ts");
        await printReport(await send<DifferenceReport>(input, text), input, terminal, differencePieces);
      } else await printReport(await send<AppliedReport>(input, text), input, terminal, appliedText);
    } catch (error) {
      throw namingFile(error, fileNameOf(file));
    }
  },
};

async function send<Report>(input: CommandInput, text: string): Promise<Report> {
  const { patchText, postText } = await import("./client.ts");
  const isMerge = input.flag("merge");
  const query = new URLSearchParams({
    ...(input.flag("dryRun") && { dryRun: "true" }),
    ...(input.flag("allowEmpty") && { allowEmpty: "true" }),
  });
  const path = query.size === 0 ? "/v1/tables" : `/v1/tables?${query}`;
  return await (isMerge ? patchText : postText)<Report>(input.text("socket"), path, text);
}

function appliedText({ generation, nodes, services, instances }: AppliedReport): string {
  return (
    `generation ${generation}: ${countText(nodes, "node")}, ${countText(services, "service")}, ` +
    `${countText(instances, "instance")}\n`
  );
}

/** The proxy knows the text, not the file that it is from. */
function namingFile(error: unknown, file: string): unknown {
  if (!(error instanceof SapwoodError)) return error;
  const details = error.details.map((detail) => (detail.file === NAME_IN_ERRORS ? { ...detail, file } : detail));
  const message = error.message.replaceAll(new RegExp(`^${NAME_IN_ERRORS}(?=:\\d)`, "gm"), () => file);
  return new SapwoodError(error.code, message, { cause: error, details });
}
