// Gives up what a proxy may not do before the program is loaded: a process with more rights begins anew, and loses all
// that it had loaded (sys/rights.ts).

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { reduceRights } from "../sys/rights.ts";
import { DEFAULT_CONFIG_FILE } from "./config-file.ts";

/** `args` are those of `sapwood run`. Never throws: the command itself tries again, and tells why it failed. */
export function reduceRightsEarly(args: readonly string[]): void {
  try {
    const { config } = parseArgs({
      args: [...args],
      options: { config: { type: "string", short: "c" }, socket: { type: "string", short: "s" } },
      strict: false, // what is wrong with the arguments is for the command to say
    }).values;
    reduceRights([fileURLToPath(import.meta.url), typeof config === "string" ? config : DEFAULT_CONFIG_FILE]);
  } catch {
    // Told by the command.
  }
}
