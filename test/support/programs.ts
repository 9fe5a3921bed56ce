// What a test needs of the machine that it runs on.
import { spawnSync } from "node:child_process";
import { describe } from "vitest";

/** `describe`, or a skipped one whose name says which of the programs this machine lacks. */
export function describeWith(name: string, body: () => void, ...programs: readonly string[]): void {
  const problem = programs.map(absence).find((one) => one !== undefined);
  if (problem === undefined) describe(name, body);
  else describe.skip(`${name} (skipped: ${problem})`, body);
}

/** What to say of a program that is not installed; undefined when it is. */
export function absence(program: string): string | undefined {
  const { status } = spawnSync("sh", ["-c", `command -v ${program}`]);
  return status === 0 ? undefined : `${program} is not installed`;
}
