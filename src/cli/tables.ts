// `sapwood tables`: the nodes and services in force, as a file that can be applied again.

import type { TablesDocument } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { queryCommand } from "./query-command.ts";

export const tablesCommand: Command = queryCommand<TablesDocument>({
  name: "tables",
  summary: "print the nodes and services in force, as a file for `apply` and `check`",
  examples: [
    { line: "tables > tables.yaml", does: "then edit it, and: sapwood apply --dry-run tables.yaml" },
    { line: "tables --json", does: "the same as JSON, which is read faster" },
  ],
  path: () => "/v1/tables",
  async render(document) {
    const { yamlPieces } = await import("./yaml-text.ts");
    return yamlPieces(document);
  },
});
