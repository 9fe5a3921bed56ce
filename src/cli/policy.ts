// `sapwood policy ...` of a running proxy: which policies there are, and other modules in their place.

import { SapwoodError } from "../base/errors.ts";
import type { DryRunReport, PolicyDetailReport, PolicyReport } from "../model/module-reports.ts";
import type { Command, CommandArgument, CommandOption } from "./command.ts";
import { JSON_OPTION, orderCommand, printReport, queryCommand, removeCommand, SOCKET_OPTION } from "./query-command.ts";

const NAME_ARGUMENT: CommandArgument = { name: "name", summary: "of the policy" };

const FORCE_OPTION: CommandOption = {
  flags: "--force",
  summary: "load it although it is slow, chooses candidates that take no flows, or takes more and more memory",
};

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

export const policyShowCommand: Command = queryCommand<PolicyDetailReport>({
  name: "policy show",
  summary: "show a policy's module, its time per choice, its faults, and the flows of each instance",
  arguments: [NAME_ARGUMENT],
  examples: [{ line: "policy show closest", does: "module, swap, faults, share per instance" }],
  path: (input) => policyPath(input.argument(0)),
  render: async (policy) => (await import("./module-text.ts")).policyText(policy),
});

export const policyLoadCommand: Command = {
  name: "policy load",
  group: "Change a running proxy",
  summary: "put a policy module in force, for a new name or in place of another; traffic goes on",
  arguments: [
    { name: "name", summary: "of the policy: small letters, digits and -" },
    { name: "file", summary: "the WebAssembly module" },
  ],
  options: [
    { flags: "--dry-run", summary: "only show how the next flows would be spread now and after" },
    FORCE_OPTION,
    SOCKET_OPTION,
    JSON_OPTION,
  ],
  examples: [
    { line: "policy load closest closest.wasm", does: "live flows stay where they are" },
    { line: "policy load closest closest.wasm --dry-run", does: "the next 10,000 flows, now and after" },
  ],
  async run(input, terminal) {
    const [{ putModule }, { dryRunText, policyText }, { readModule }, { POLICY_SHAPE }] = await Promise.all([
      import("./client.ts"),
      import("./module-text.ts"),
      import("../dataplane/modules/wasm.ts"),
      import("../dataplane/modules/policy-module.ts"),
    ]);
    const path = policyPath(input.argument(0));
    const socket = input.text("socket");
    const file = input.argument(1);
    const module = { file, bytes: readModule(file, POLICY_SHAPE) };
    const query: Record<string, string> = input.flag("force") ? { force: "true" } : {};
    if (input.flag("dryRun")) {
      const report = await putModule<DryRunReport>(socket, path, module, { ...query, dryRun: "true" });
      await printReport(report, input, terminal, dryRunText);
    } else {
      const report = await putModule<PolicyDetailReport>(socket, path, module, query);
      await printReport(report, input, terminal, policyText);
    }
  },
};

export const policyRollbackCommand: Command = orderCommand<PolicyDetailReport>({
  name: "policy rollback",
  summary: "put the module that a policy had before in force again",
  arguments: [NAME_ARGUMENT],
  examples: [{ line: "policy rollback closest", does: "the module before, or the built-in one" }],
  path: (input) => `${policyPath(input.argument(0))}/rollback`,
  render: async (policy) => (await import("./module-text.ts")).policyText(policy),
});

export const policyUnloadCommand: Command = removeCommand<readonly PolicyReport[]>({
  name: "policy unload",
  summary: "take the loaded modules of a policy away; its name as well, unless it comes with the package",
  arguments: [NAME_ARGUMENT],
  examples: [
    { line: "policy unload my-policy", does: "the name falls away; refused as long as addresses are bound to it" },
    { line: "policy unload closest", does: "the module of the package is in force again" },
  ],
  path: (input) => policyPath(input.argument(0)),
  render: async (policies) => (await import("./module-text.ts")).policyTable(policies),
});

/** Throws usage for a name that no path can hold (RFC 3986 section 5.2.4). */
function policyPath(name: string): string {
  if (name !== "" && name !== "." && name !== "..") return `/v1/policies/${encodeURIComponent(name)}`;
  throw new SapwoodError("usage", `The name of a policy is needed; found "${name}".`);
}
