// `sapwood engine ...`: which packet code runs, and another in its place.

import type { EngineReport } from "../model/module-reports.ts";
import type { Command } from "./command.ts";
import { JSON_OPTION, orderCommand, printReport, queryCommand, SOCKET_OPTION } from "./query-command.ts";

export const engineShowCommand: Command = queryCommand<EngineReport>({
  name: "engine show",
  summary: "show the engine in force, and the one before it",
  examples: [{ line: "engine show", does: "hash, size, source, and how the last swap went" }],
  path: () => "/v1/engine",
  render: async (engine) => (await import("./module-text.ts")).engineText(engine),
});

export const engineLoadCommand: Command = {
  name: "engine load",
  group: "Change a running proxy",
  summary: "replace the packet code, after a self-test; traffic and all flows go on",
  arguments: [{ name: "file", summary: "the engine's WebAssembly module, of the same layout version" }],
  options: [
    { flags: "--force", summary: "load it although it does otherwise than the engine in force" },
    SOCKET_OPTION,
    JSON_OPTION,
  ],
  examples: [{ line: "engine load engine.wasm", does: "refused with the reason when it fails its self-test" }],
  async run(input, terminal) {
    const [{ putModule }, { engineText }, { ENGINE_SHAPE, readModule }] = await Promise.all([
      import("./client.ts"),
      import("./module-text.ts"),
      import("../dataplane/modules/wasm.ts"),
    ]);
    const file = input.argument(0);
    const module = { file, bytes: readModule(file, ENGINE_SHAPE) };
    const query: Record<string, string> = input.flag("force") ? { force: "true" } : {};
    const engine = await putModule<EngineReport>(input.text("socket"), "/v1/engine", module, query);
    await printReport(engine, input, terminal, engineText);
  },
};

export const engineRollbackCommand: Command = orderCommand<EngineReport>({
  name: "engine rollback",
  summary: "put the engine before in force again",
  examples: [{ line: "engine rollback", does: "the engine before, or the built-in one" }],
  path: () => "/v1/engine/rollback",
  render: async (engine) => (await import("./module-text.ts")).engineText(engine),
});
