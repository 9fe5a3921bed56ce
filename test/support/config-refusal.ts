// What is said of a config file that is wrong.

import { parseConfig } from "../../src/control/config.ts";
import { SapwoodError } from "../../src/errors.ts";

/** Lines of the refusal, without the file's name. */
export function refusalLines(text: string): string[] {
  try {
    parseConfig(text, "node.yaml");
  } catch (error) {
    if (!(error instanceof SapwoodError) || error.code !== "config-invalid") throw error;
    return error.message.split("\n").map((line) => line.replace(/^node\.yaml:/, ""));
  }
  throw new Error("was accepted");
}
