// `sapwood check`: whether a configuration file, or a file for `sapwood apply`, is valid.

import type { Command, CommandInput } from "./command.ts";
import { configFile, DEFAULT_CONFIG_FILE } from "./config-file.ts";
import { countText } from "./format.ts";
import { JSON_OPTION, printReport } from "./query-command.ts";

interface CheckReport {
  readonly file: string;
  readonly node: string | null; // null = a file for `apply`
  readonly nodes: number;
  readonly services: number;
  readonly instances: number;
}

export const checkCommand: Command = {
  name: "check",
  group: "Run a proxy",
  summary: "say whether a configuration, or a file for `apply`, is valid",
  arguments: [
    {
      name: "file",
      summary: `a configuration, or a file for apply; "-" reads standard input (default: ${DEFAULT_CONFIG_FILE})`,
      isOptional: true,
    },
  ],
  options: [
    { flags: "-c, --config <file>", summary: "check a file for `apply` as the node with this configuration would" },
    { flags: "--merge", summary: "check it as `apply --merge` would: it may name what is not in it" },
    JSON_OPTION,
  ],
  examples: [
    { line: "check node.yaml", does: "exit status 0, or 2 with file, line, column and field" },
    { line: "check services.yaml", does: "a file for `apply`, for a node that keeps the defaults" },
    { line: "check services.yaml -c node.yaml", does: "with that node's ranges, policies and nodes" },
    { line: "check - < services.yaml", does: "from standard input" },
  ],
  async run(input, terminal) {
    await printReport(await check(input), input, terminal, reportText);
  },
};

function reportText({ file, node, nodes, services, instances }: CheckReport): string {
  const counted = `${countText(services, "service")}, ${countText(instances, "instance")}`;
  return node === null
    ? `${file} is valid for apply: ${countText(nodes, "node")}, ${counted}\n`
    : `${file} is valid: node ${node}, ${countText(nodes, "other node")}, ${counted}\n`;
}

async function check(input: CommandInput): Promise<CheckReport> {
  const [{ checkText }, { policyFileIssues }, { fileNameOf, readTextOnce }, { knownPolicies }] = await Promise.all([
    import("../control/config/check.ts"),
    import("../control/config/policy-file-check.ts"),
    import("../sys/user-file.ts"),
    import("../control/state/module-store.ts"),
  ]);
  const file = configFile(input.optionalArgument(0));
  const { node, tables } = checkText(readTextOnce(file), fileNameOf(file), {
    configFile: input.optionalText("config"),
    isMerge: input.flag("merge"),
    policies: knownPolicies,
    fileIssues: (config) => policyFileIssues(config, file),
  });
  const { nodes, services } = tables;
  const instances = services.reduce((sum, service) => sum + service.instances.length, 0);
  return { file: fileNameOf(file), node, nodes: nodes.length, services: services.length, instances };
}
