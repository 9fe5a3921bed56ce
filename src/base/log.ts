// The one logger: a line per event on stderr, so that stdout has only what a command prints. JSON for programs, unless
// a terminal is there for people. Never called per packet.

import { writeSync } from "node:fs";
import { type Logger, pino } from "pino";
import type { LogLevel } from "./log-levels.ts";
import { printable } from "./printable.ts";

export type { Logger };

const STDERR = 2;

/** Where lines go; stderr unless a test says otherwise. */
export interface LogTarget {
  write(line: string): void;
}

export function createLogger(level: LogLevel, target: LogTarget = jsonLines()): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: levelName } },
    target,
  );
}

let lost = 0;
let isInLine = false; // a part of a line was written, and no end of it

/** Lines that could not be written, because the disk is full or the terminal closed, say. */
export function lostLogLines(): number {
  return lost;
}

/** Synchronous: the last line before an exit is the one that matters. A log that cannot be written ends nothing. */
export const STDERR_LINES: LogTarget = {
  write(line) {
    try {
      writeWhole(Buffer.from(isInLine ? `\n${line}` : line));
    } catch {
      lost += 1;
    }
  },
};

/** What the library leaves as it is although a terminal would obey it. The JSON means the same. */
function jsonLines(): LogTarget {
  return { write: (line) => STDERR_LINES.write(printable(line)) };
}

/** A pipe may take a part of a line at a time. */
function writeWhole(line: Buffer): void {
  let at = 0;
  while (at < line.length) {
    at += writeSync(STDERR, line, at);
    isInLine = at < line.length;
  }
}

function levelName(label: string): { level: string } {
  return { level: label };
}
