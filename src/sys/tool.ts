// Runs the commands of other packages that set up the network, and says in one sentence why one failed.

import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { SapwoodError } from "../base/errors.ts";

export interface Tool {
  readonly program: string;
  /** Debian package that has it. */
  readonly package: string;
}

/**
 * Resolves with what the program prints. Throws missing-tool, missing-rights or network-setup.
 * `describe` names the command that failed, given what the program wrote to stderr.
 */
export function runTool(
  tool: Tool,
  options: readonly string[],
  input: string,
  describe: (stderr: string) => string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(tool.program, options, { env: toolEnvironment() }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(toolFailure(tool, error, stderr, describe(stderr)));
    });
    child.stdin?.on("error", () => undefined); // it ended without reading; its exit status says why
    child.stdin?.end(input);
  });
}

/** Whether this machine has the program. */
export function hasTool({ program }: Tool): boolean {
  return (toolEnvironment().PATH ?? "").split(":").some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** An ordinary user's PATH may lack the folders that have these programs. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` };
}

/** Why a program did not do what it was told, as one sentence. */
export function toolFailure(tool: Tool, error: Error, stderr: string, command: string): SapwoodError {
  if ("code" in error && error.code === "ENOENT") {
    return new SapwoodError("missing-tool", `The command "${tool.program}" is missing: install ${tool.package}.`, {
      cause: error,
    });
  }
  const [line] = stderr.split("\n");
  const [own = ""] = error.message.split("\n"); // Node repeats what the program said in further lines
  const reason = (line || own).replace(/\.+$/, "");
  const code = /not permitted|denied/i.test(stderr) ? "missing-rights" : "network-setup";
  return new SapwoodError(code, `"${tool.program} ${command}" failed: ${reason}.`, { cause: error });
}
