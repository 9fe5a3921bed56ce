#!/usr/bin/env node
// argv -> command -> exit status.

import "./base/early-signals.ts";
import { packageVersion } from "./base/version.ts";
import { processTerminal } from "./cli/process-terminal.ts";
import { runProgram } from "./cli/program.ts";

const args = process.argv.slice(2);
process.exitCode = await runProgram(args, packageVersion(), processTerminal(args[0] === "run"));
