// `sapwood policy show`: everything about one policy.

import type { PolicyDetailReport } from "../model/module-reports.ts";
import type { Command } from "./command.ts";
import { policyPath } from "./policy-path.ts";
import { queryCommand } from "./query-command.ts";

export const policyShowCommand: Command = queryCommand<PolicyDetailReport>({
  name: "policy show",
  summary: "show a policy's module, its time per choice, its faults, and the flows of each instance",
  arguments: [{ name: "name", summary: "of the policy" }],
  examples: [{ line: "policy show closest", does: "module, swap, faults, share per instance" }],
  path: (input) => policyPath(input.argument(0)),
  render: async (policy) => (await import("./module-text.ts")).policyText(policy),
});
