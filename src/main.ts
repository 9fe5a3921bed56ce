#!/usr/bin/env node
// argv -> command -> exit status.

import { readFileSync } from "node:fs";
import { runProgram } from "./cli/program.ts";

// A reader that has seen enough (`sapwood flows | head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

process.exitCode = await runProgram(process.argv.slice(2), packageVersion(), {
  columns: process.stdout.columns,
  print: (text) => process.stdout.write(text),
  printError: (text) => process.stderr.write(text),
});

function packageVersion(): string {
  // dist/src/main.js -> package.json
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const hasVersion = typeof manifest === "object" && manifest !== null && "version" in manifest;
  return hasVersion ? String(manifest.version) : "unknown";
}
