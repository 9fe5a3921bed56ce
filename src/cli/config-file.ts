// Which configuration a command means: the one that is named, else the node's own place for it.

import { existsSync } from "node:fs";
import { SapwoodError } from "../base/errors.ts";
import type { CommandOption } from "./command.ts";

export const DEFAULT_CONFIG_FILE = "/etc/sapwood/node.yaml";

export const CONFIG_OPTION: CommandOption = {
  flags: "-c, --config <file>",
  summary: `configuration of the node (default: ${DEFAULT_CONFIG_FILE})`,
};

/** `named` if there is one. Throws config-unreadable when there is none, and the default one is missing as well. */
export function configFile(named: string | undefined): string {
  if (named !== undefined) return named;
  if (existsSync(DEFAULT_CONFIG_FILE)) return DEFAULT_CONFIG_FILE;
  throw new SapwoodError(
    "config-unreadable",
    `A configuration is needed: none was named, and there is none at ${DEFAULT_CONFIG_FILE}.`,
  );
}
