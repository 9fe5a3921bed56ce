// Faults of engines that pass their self-test, whose clock begins at 1,000 s, and turn hostile in a proxy that has not run
// for so long.
import type { Fault } from "./faulty-engines.ts";

/** Where an engine turns hostile: inside of its own marks, and outside. */
export const EGRESS = /function egress\(.*\n.*begin\(nowUs\);/;
export const SWEEP = /function sweep\(.*\{/;

export function turningLater(before: RegExp, then: string): Fault {
  return {
    file: "assembly/engine.ts",
    before,
    after: (isFaulty) => `$& if (${isFaulty} && nowUs < 900_000_000) { ${then} }`,
  };
}
