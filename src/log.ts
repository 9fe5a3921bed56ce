// The one logger: JSON lines on stderr, so that stdout has only what a command prints. Never called per packet.

import { type Logger, pino } from "pino";
import type { LogLevel } from "./log-levels.ts";

export type { Logger };

/** Where lines go; stderr unless a test says otherwise. */
export interface LogTarget {
  write(line: string): void;
}

export function createLogger(level: LogLevel, target: LogTarget = stderr()): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: levelName } },
    target,
  );
}

/** Synchronous: the last line before an exit is the one that matters. */
function stderr(): LogTarget {
  return pino.destination({ fd: process.stderr.fd, sync: true });
}

function levelName(label: string): { level: string } {
  return { level: label };
}
