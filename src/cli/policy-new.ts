// `sapwood policy new`: a folder to write a policy in.

import type { Command } from "./command.ts";

export const policyNewCommand: Command = {
  name: "policy new",
  group: "Write a policy",
  summary: "write a policy to begin with, and what builds it, into an empty folder",
  arguments: [
    { name: "name", summary: "of the policy: small letters, digits and -" },
    { name: "folder", summary: "where to; one of that name unless given", isOptional: true },
  ],
  options: [],
  examples: [
    { line: "policy new my-policy", does: "then: cd my-policy && npm install && npm run build" },
    { line: "policy new my-policy .", does: "into the current folder" },
  ],
  async run(input, terminal) {
    const { writePolicyTemplate } = await import("../control/modules/policy-template.ts");
    const name = input.argument(0);
    const folder = input.optionalArgument(1) ?? name;
    const files = writePolicyTemplate(name, folder);
    const enter = folder === "." ? "" : `cd ${folder} && `;
    terminal.print(
      `${folder} has ${files.join(", ")}.\n` +
        `${enter}npm install && npm run build makes ${name}.wasm; ` +
        `sapwood policy test ${name}.wasm runs it.\n`,
    );
  },
};
