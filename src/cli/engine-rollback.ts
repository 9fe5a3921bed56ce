// `sapwood engine rollback`: puts the engine before in force again.

import type { EngineReport } from "../model/module-reports.ts";
import type { Command } from "./command.ts";
import { orderCommand } from "./query-command.ts";

export const engineRollbackCommand: Command = orderCommand<EngineReport>({
  name: "engine rollback",
  summary: "put the engine before in force again",
  examples: [{ line: "engine rollback", does: "the engine before, or the built-in one" }],
  path: () => "/v1/engine/rollback",
  render: async (engine) => (await import("./module-text.ts")).engineText(engine),
});
