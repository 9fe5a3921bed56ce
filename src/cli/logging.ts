// What a proxy logs, and in which form: for people where one watches, else for programs.

import { SapwoodError } from "../base/errors.ts";
import type { Logger, LogTarget } from "../base/log.ts";
import { isLogFormat, isLogLevel, LOG_FORMATS, LOG_LEVELS } from "../base/log-levels.ts";
import type { CommandInput, CommandOption } from "./command.ts";

const LEVEL_VARIABLE = "SAPWOOD_LOG_LEVEL";
const FORMAT_VARIABLE = "SAPWOOD_LOG_FORMAT";

/** `otherwise` says where the level is from when nothing gives it. */
export function logLevelOption(otherwise: string): CommandOption {
  const summary = `least severe message on stderr (default: ${LEVEL_VARIABLE}, else ${otherwise})`;
  return { flags: "--log-level <level>", summary, choices: LOG_LEVELS };
}

export const LOG_FORMAT_OPTION: CommandOption = {
  flags: "--log-format <format>",
  summary: `how messages look: auto is pretty on a terminal, else json (default: ${FORMAT_VARIABLE}, else auto)`,
  choices: LOG_FORMATS,
};

/** `isLevelFixed`: whether the level was given, so that no file may say another one. Throws usage. */
export async function openLog(input: CommandInput): Promise<{ readonly log: Logger; readonly isLevelFixed: boolean }> {
  const level = input.optionalText("logLevel") ?? process.env[LEVEL_VARIABLE];
  if (level !== undefined && !isLogLevel(level)) {
    throw new SapwoodError("usage", `${LEVEL_VARIABLE} must be one of ${LOG_LEVELS.join(", ")}; found "${level}".`);
  }
  const { createLogger } = await import("../base/log.ts");
  return { log: createLogger(level ?? "info", await logTarget(input)), isLevelFixed: level !== undefined };
}

/** Undefined: JSON. Colours as https://no-color.org has it. Throws usage. */
async function logTarget(input: CommandInput): Promise<LogTarget | undefined> {
  const format = input.optionalText("logFormat") ?? (process.env[FORMAT_VARIABLE] || "auto");
  if (!isLogFormat(format)) {
    throw new SapwoodError("usage", `${FORMAT_VARIABLE} must be one of ${LOG_FORMATS.join(", ")}; found "${format}".`);
  }
  const isTerminal = process.stderr.isTTY === true;
  if (format === "json" || (format === "auto" && !isTerminal)) return undefined;
  const { prettyLines } = await import("../base/pretty-log.ts");
  return prettyLines(isTerminal && !process.env["NO_COLOR"]);
}
