// How much is logged, and in which form. Apart from log.ts, so that reading a level does not load the logger.

/** From the most to the least talkative. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export function isLogLevel(text: string): text is LogLevel {
  return LOG_LEVELS.some((level) => level === text);
}

/** How lines are written: for people, for programs, or as standard error is a terminal or none. */
export const LOG_FORMATS = ["auto", "pretty", "json"] as const;
type LogFormat = (typeof LOG_FORMATS)[number];

export function isLogFormat(text: string): text is LogFormat {
  return LOG_FORMATS.some((format) => format === text);
}
