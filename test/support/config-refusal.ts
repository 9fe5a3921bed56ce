// What is said of a config file that is wrong.

import { SapwoodError } from "../../src/base/errors.ts";
import { parseConfig } from "../../src/control/config/config.ts";

/** Lines of the refusal, without the file's name and the columns. */
export function refusalLines(text: string): string[] {
  try {
    parseConfig(text, "node.yaml");
  } catch (error) {
    if (!(error instanceof SapwoodError) || error.code !== "config-invalid") throw error;
    return error.message.split("\n").map((line) => line.replace(/^node\.yaml:(\d+):\d+:/, "$1:"));
  }
  throw new Error("was accepted");
}
