// `sapwood policy rollback`: puts a policy's module before in force again.

import type { PolicyDetailReport } from "../model/module-reports.ts";
import type { Command } from "./command.ts";
import { policyPath } from "./policy-path.ts";
import { orderCommand } from "./query-command.ts";

export const policyRollbackCommand: Command = orderCommand<PolicyDetailReport>({
  name: "policy rollback",
  summary: "put the module that a policy had before in force again",
  arguments: [{ name: "name", summary: "of the policy" }],
  examples: [{ line: "policy rollback closest", does: "the module before, or the built-in one" }],
  path: (input) => `${policyPath(input.argument(0))}/rollback`,
  render: async (policy) => (await import("./module-text.ts")).policyText(policy),
});
