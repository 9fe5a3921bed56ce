// `sapwood check`: whether a configuration file is valid.

import type { Command } from "./command.ts";
import { configFile, DEFAULT_CONFIG_FILE } from "./config-file.ts";
import { countText } from "./format.ts";
import { JSON_OPTION } from "./query-command.ts";

export const checkCommand: Command = {
  name: "check",
  group: "Run a proxy",
  summary: "say whether a configuration file is valid",
  arguments: [
    { name: "file", summary: `the node's configuration (default: ${DEFAULT_CONFIG_FILE})`, isOptional: true },
  ],
  options: [JSON_OPTION],
  examples: [{ line: "check node.yaml", does: "exit status 0, or 2 with file, line and field" }],
  async run(input, terminal) {
    const [{ loadConfig }, { policyFileIssues }, { knownPolicies }] = await Promise.all([
      import("../control/config/config.ts"),
      import("../control/config/policy-file-check.ts"),
      import("../control/state/module-store.ts"),
    ]);
    const file = configFile(input.optionalArgument(0));
    const { node, tables } = loadConfig(file, {
      policies: knownPolicies,
      fileIssues: (config) => policyFileIssues(config, file),
    });
    const { nodes, services } = tables;
    const instances = services.reduce((sum, service) => sum + service.instances.length, 0);
    const summary = { file, node: node.id, nodes: nodes.length, services: services.length, instances };
    terminal.print(
      input.flag("json")
        ? `${JSON.stringify(summary, undefined, 2)}\n`
        : `${file} is valid: node ${node.id}, ${countText(nodes.length, "other node")}, ` +
            `${countText(services.length, "service")}, ${countText(instances, "instance")}\n`,
    );
  },
};
