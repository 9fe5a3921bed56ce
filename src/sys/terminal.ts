// A terminal that closes before the process that began on it ends.

import { closeSync, openSync } from "node:fs";
import { isatty } from "node:tty";

const STANDARD = [0, 1, 2] as const;

/**
 * When a process ends, Node gives terminals back the settings that they had, and aborts the process if a terminal does
 * not take them. One that closed does not (EIO), so the end lets go of it before.
 */
export function leaveClosedTerminals(): void {
  const terminals = STANDARD.filter((file) => isatty(file));
  process.on("exit", () => {
    for (const file of terminals) {
      if (isatty(file)) continue;
      closeSync(file);
      openSync("/dev/null", "r+"); // gets the lowest number that is free: the same
    }
  });
}
