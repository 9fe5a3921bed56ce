// `sapwood key activate`: the running proxy uses the next key from now on.

import type { KeyReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { keyReportText } from "./key-status.ts";
import { orderCommand } from "./query-command.ts";

export const keyActivateCommand: Command = orderCommand<KeyReport>({
  name: "key activate",
  summary: "use the next key from now on; the other nodes must have it as nextPublicKey",
  examples: [{ line: "key activate", does: "connections go on; the key before is gone" }],
  path: () => "/v1/key/activate",
  render: (report) => keyReportText(report),
});
