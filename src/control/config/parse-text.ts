// Reads a text of any kind here and now.

import { configOf, parseTablesPatchOf, stateDirectoryOf, tablesOfDocument } from "./config.ts";
import type { ConfigDocument } from "./config-document.ts";
import type { TextKinds, TextRequest } from "./text-contract.ts";

/** Throws config-invalid. */
export function parseDocument<Kind extends keyof TextKinds>(
  document: ConfigDocument,
  request: TextRequest<Kind>,
): TextKinds[Kind]["value"];
export function parseDocument(
  document: ConfigDocument,
  { kind, options }: TextRequest,
): TextKinds[keyof TextKinds]["value"] {
  if (kind === "tables") return tablesOfDocument(document, options as TextKinds["tables"]["options"]);
  if (kind === "patch") return parseTablesPatchOf(document, options as TextKinds["patch"]["options"]);
  if (kind === "state") return stateDirectoryOf(document);
  const { policies, inForce, sizesInForce, origins } = options as TextKinds["config"]["options"];
  return configOf(document, { policies: () => policies, inForce: () => inForce, sizesInForce, origins });
}
