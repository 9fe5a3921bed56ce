// The one logger: JSON lines on stderr, so that stdout has only what a command prints. Never called per packet.

import { type Logger, pino } from "pino";

export type { Logger } from "pino";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where lines go; stderr unless a test says otherwise. */
export interface LogTarget {
  write(line: string): void;
}

export function createLogger(level: LogLevel, target: LogTarget = stderr()): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: levelName } }, target);
}

export function isLogLevel(text: string): text is LogLevel {
  return LOG_LEVELS.some((level) => level === text);
}

/** Synchronous: the last line before an exit is the one that matters. */
function stderr(): LogTarget {
  return pino.destination({ fd: process.stderr.fd, sync: true });
}

function levelName(label: string): { level: string } {
  return { level: label };
}
