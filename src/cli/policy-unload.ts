// `sapwood policy unload`: takes loaded modules out of force, and a name that is not of the package away.

import type { PolicyReport } from "../model/module-reports.ts";
import type { Command } from "./command.ts";
import { policyPath } from "./policy-path.ts";
import { removeCommand } from "./query-command.ts";

export const policyUnloadCommand: Command = removeCommand<readonly PolicyReport[]>({
  name: "policy unload",
  summary: "take the loaded modules of a policy away; its name as well, unless it comes with the package",
  arguments: [{ name: "name", summary: "of the policy" }],
  examples: [
    { line: "policy unload my-policy", does: "the name falls away; refused as long as addresses are bound to it" },
    { line: "policy unload closest", does: "the module of the package is in force again" },
  ],
  path: (input) => policyPath(input.argument(0)),
  render: async (policies) => (await import("./module-text.ts")).policyTable(policies),
});
