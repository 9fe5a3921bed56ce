// `sapwood engine show`: which packet code runs.

import type { EngineReport } from "../model/module-reports.ts";
import type { Command } from "./command.ts";
import { queryCommand } from "./query-command.ts";

export const engineShowCommand: Command = queryCommand<EngineReport>({
  name: "engine show",
  summary: "show the engine in force, and the one before it",
  examples: [{ line: "engine show", does: "hash, size, source, and how the last swap went" }],
  path: () => "/v1/engine",
  render: async (engine) => (await import("./module-text.ts")).engineText(engine),
});
