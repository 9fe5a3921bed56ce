// `sapwood apply`: replaces nodes and services of a running proxy, or with --merge some of them.

import type { AppliedReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { countText } from "./format.ts";
import { JSON_OPTION, SOCKET_OPTION } from "./query-command.ts";

export const applyCommand: Command = {
  name: "apply",
  group: "Change a running proxy",
  summary: "replace or change nodes and services at once, or not at all",
  arguments: [{ name: "file", summary: 'YAML or JSON with "nodes" and "services"; "-" reads standard input' }],
  options: [
    { flags: "--merge", summary: 'keep what the file does not name; it may "remove" nodes and services by name' },
    { flags: "--allow-empty", summary: "let the file take the last node, service, address or instance away" },
    SOCKET_OPTION,
    JSON_OPTION,
  ],
  examples: [
    { line: "apply services.yaml", does: "one new generation; traffic goes on" },
    { line: "apply - < services.yaml", does: "the same from standard input" },
    { line: "apply --merge changes.yaml", does: "only what changes, however much there is" },
  ],
  async run(input, terminal) {
    const [{ patchText, postText }, { readTextOnce }] = await Promise.all([
      import("./client.ts"),
      import("../sys/user-file.ts"),
    ]);
    const text = readTextOnce(input.argument(0));
    const send = input.flag("merge") ? patchText : postText;
    const query = input.flag("allowEmpty") ? "?allowEmpty=true" : "";
    const applied = await send<AppliedReport>(input.text("socket"), `/v1/tables${query}`, text);
    const { generation, nodes, services, instances } = applied;
    terminal.print(
      input.flag("json")
        ? `${JSON.stringify(applied, undefined, 2)}\n`
        : `generation ${generation}: ${countText(nodes, "node")}, ${countText(services, "service")}, ` +
            `${countText(instances, "instance")}\n`,
    );
  },
};
