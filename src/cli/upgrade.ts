// `sapwood upgrade`: the version that this command is of takes over from the proxy that runs.

import { fileURLToPath } from "node:url";
import type { Command } from "./command.ts";
import { JSON_OPTION, printReport, SOCKET_OPTION } from "./query-command.ts";

export const upgradeCommand: Command = {
  name: "upgrade",
  group: "Change a running proxy",
  summary: "have this version take over from the running proxy, which goes on if it fails",
  options: [SOCKET_OPTION, JSON_OPTION],
  examples: [{ line: "upgrade", does: "no connection is lost, and no packet" }],
  async run(input, terminal) {
    const { requestUpgrade } = await import("../node/takeover/upgrade.ts");
    const program = fileURLToPath(new URL("../main.js", import.meta.url));
    const done = await requestUpgrade(input.text("socket"), { node: process.execPath, program });
    await printReport(done, input, terminal, ({ pid, from, to, flows, pauseMs }) => [
      `process ${pid}, version ${to}, has taken over from version ${from}\n`,
      `${flows} flows go on; packets waited ${Math.max(1, Math.round(pauseMs))} ms\n`,
    ]);
  },
};
