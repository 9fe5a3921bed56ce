// `sapwood policy list`: which policies there are, and whether each does what it should.

import type { PolicyReport } from "../model/module-reports.ts";
import type { Command } from "./command.ts";
import { queryCommand } from "./query-command.ts";

export const policyListCommand: Command = queryCommand<readonly PolicyReport[]>({
  name: "policy list",
  summary: "list the policies, their modules and how they do",
  examples: [
    { line: "policy list", does: "one line per policy" },
    { line: "policy list --json", does: "with faults by kind, for a program" },
  ],
  path: () => "/v1/policies",
  render: async (policies) => (await import("./module-text.ts")).policyTable(policies),
});
