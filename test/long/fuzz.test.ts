// Two million mutants through the engine and its judges, or with SAPWOOD_TEST_SIZE=full ten; `npm run fuzz` tries as many
// as one likes. SAPWOOD_TEST_SEED=n repeats one seed.
import { test } from "vitest";
import { expectCleanRound } from "../support/fuzz/fuzz-run.ts";
import { seeds } from "../support/random.ts";
import { sized } from "../support/size.ts";

test.each(seeds(2, sized(2, 6)))("the engine stands two million mutants, seed %i", (seed) =>
  expectCleanRound(seed, 2_000_000),
);
