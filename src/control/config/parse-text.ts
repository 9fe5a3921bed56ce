// Reads a text of any kind here and now.

import { parseConfig, parseTables, parseTablesPatch } from "./config.ts";
import type { TextKinds, TextRequest } from "./text-contract.ts";

/** Throws config-invalid. */
export function parseText<Kind extends keyof TextKinds>(request: TextRequest<Kind>): TextKinds[Kind]["value"];
export function parseText({ kind, text, name, options }: TextRequest): TextKinds[keyof TextKinds]["value"] {
  if (kind === "tables") return parseTables(text, name, options as TextKinds["tables"]["options"]);
  if (kind === "patch") return parseTablesPatch(text, name, options as TextKinds["patch"]["options"]);
  const { policies, inForce } = options as TextKinds["config"]["options"];
  return parseConfig(text, name, { policies: () => policies, inForce: () => inForce });
}
