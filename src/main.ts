#!/usr/bin/env node
// argv -> command -> exit status.

import "./base/early-signals.ts";
import { packageVersion } from "./base/version.ts";
import { runProgram } from "./cli/program.ts";

// A reader that has seen enough (`sapwood flows | head`) is no failure. A proxy lives on whatever becomes of its output.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (process.argv[2] === "run") return;
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

process.exitCode = await runProgram(process.argv.slice(2), packageVersion(), {
  columns: process.stdout.columns,
  print: (text) => process.stdout.write(text),
  printError: (text) => process.stderr.write(text),
});
