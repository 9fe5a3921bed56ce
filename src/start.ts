// argv -> command -> exit status.

import "./base/early-signals.ts";
import { packageVersion } from "./base/version.ts";
import { leaveClosedTerminals } from "./sys/terminal.ts";

leaveClosedTerminals();

const args = process.argv.slice(2);
if (args[0] === "run") {
  const { reduceRightsEarly } = await import("./cli/early-rights.ts");
  reduceRightsEarly(args.slice(1));
}

// Loaded here, because all that is imported above is loaded before the first line runs, and before anybody listens to
// signals.
const [{ processTerminal }, { runProgram }] = await Promise.all([
  import("./cli/process-terminal.ts"),
  import("./cli/program.ts"),
]);
const isProxy = args[0] === "run" || args[0] === "netmanager";
process.exitCode = await runProgram(args, packageVersion(), processTerminal(isProxy));
