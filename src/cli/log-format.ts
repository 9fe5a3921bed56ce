// In which form a proxy logs: for people where one watches, else for programs.

import { SapwoodError } from "../base/errors.ts";
import type { LogTarget } from "../base/log.ts";
import { isLogFormat, LOG_FORMATS } from "../base/log-levels.ts";
import type { CommandInput, CommandOption } from "./command.ts";

const FORMAT_VARIABLE = "SAPWOOD_LOG_FORMAT";

export const LOG_FORMAT_OPTION: CommandOption = {
  flags: "--log-format <format>",
  summary: `how messages look: auto is pretty on a terminal, else json (default: ${FORMAT_VARIABLE}, else auto)`,
  choices: LOG_FORMATS,
};

/** Undefined: JSON. Colours as https://no-color.org has it. Throws usage. */
export async function logTarget(input: CommandInput): Promise<LogTarget | undefined> {
  const format = input.optionalText("logFormat") ?? (process.env[FORMAT_VARIABLE] || "auto");
  if (!isLogFormat(format)) {
    throw new SapwoodError("usage", `${FORMAT_VARIABLE} must be one of ${LOG_FORMATS.join(", ")}; found "${format}".`);
  }
  const isTerminal = process.stderr.isTTY === true;
  if (format === "json" || (format === "auto" && !isTerminal)) return undefined;
  const { prettyLines } = await import("../base/pretty-log.ts");
  return prettyLines(isTerminal && !process.env["NO_COLOR"]);
}
