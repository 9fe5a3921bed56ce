// What nobody may read in a log: keys, passwords and tokens that were configured.
import { expect } from "vitest";

/** Shorter lines are no secret: a name, say. */
const LENGTH_MIN = 16;

/** `secrets` are whole files or values; no line of them may be in a text. */
export function expectNoSecret(texts: readonly string[], secrets: readonly string[]): void {
  const lines = secrets.flatMap((secret) => secret.split("\n").map((line) => line.trim()));
  const told = lines.filter((line) => {
    return line.length >= LENGTH_MIN && !line.startsWith("-----") && texts.some((text) => text.includes(line));
  });
  expect(told).toEqual([]);
}
