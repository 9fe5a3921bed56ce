// `sapwood policy load`: puts a module in force under a name, while traffic flows.

import type { DryRunReport, PolicyDetailReport } from "../model/module-reports.ts";
import type { Command, CommandOption } from "./command.ts";
import { policyPath } from "./policy-path.ts";
import { JSON_OPTION, printReport, SOCKET_OPTION } from "./query-command.ts";

const FORCE_OPTION: CommandOption = {
  flags: "--force",
  summary: "load it although it is slow, chooses candidates that take no flows, or takes more and more memory",
};

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
